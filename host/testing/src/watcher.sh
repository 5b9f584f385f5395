# Stops the tests' shared Postgres once no test process has been alive for a while.
# Arguments: HOME (of the sharing), TOKEN (of this watcher), CLUSTER (the server's directory).
#
# HOME/holders has a file per test process, named by its id. HOME/watcher holds the token of the watcher in charge.
# A newcomer has the lock on HOME.lock while it adds its holder file and looks for a server; this script has it while it
# looks for holders and stops the server. Who is killed with it gives it back.
trap '' HUP INT
cd / || exit 1
home=$1
token=$2
cluster=$3
pid_file=$cluster/data/postmaster.pid
period=2
grace=20
idle=0
exec 9>"$home.lock" || exit 1

someone_is_alive() {
    alive=1
    for file in "$home"/holders/*; do
        [ -e "$file" ] || continue
        if kill -0 "${file##*/}" 2>/dev/null; then alive=0; else rm -f "$file"; fi
    done
    return $alive
}

# Only a process whose command line names the data directory is the server; an id alone may be somebody else's by now.
server_runs() {
    pid=$(head -n 1 "$pid_file" 2>/dev/null) && [ -n "$pid" ] || return 1
    if [ -d /proc/self ]; then
        tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null
    else
        ps -ww -o args= -p "$pid"
    fi | grep -qF -e "-D $cluster/data "
}

while [ "$(cat "$home/watcher" 2>/dev/null)" = "$token" ]; do
    sleep "$period"
    if someone_is_alive; then idle=0; else idle=$((idle + period)); fi
    [ "$idle" -ge "$grace" ] || continue
    flock 9 || exit 1
    if someone_is_alive; then
        flock --unlock 9
        continue
    fi
    # Nothing in it is worth a checkpoint. Postgres gives up on stuck children after five seconds.
    server_runs && kill -QUIT "$pid"
    tries=0
    while server_runs && [ "$tries" -lt 30 ]; do
        tries=$((tries + 1))
        sleep 1
    done
    rm -rf "$cluster" "$home/holders" "$home/watcher"
    rmdir "$home" 2>/dev/null
    exit 0
done
