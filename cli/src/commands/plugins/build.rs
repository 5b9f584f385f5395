//! `plugin build`: runs the tools of the plugin's language. What they print goes to standard error.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};

use super::manifest::{FILE, ManifestFile};
use crate::arguments::{BuildOptions, Language};
use crate::output::{self, Usage};

/// The compiler for C and Zig, as `PyPI` has it.
const ZIG: &str = "ziglang==0.17.1";

/// The compiler for Python, as `PyPI` has it.
const COMPONENTIZE_PY: &str = "componentize-py==0.25.1";

/// Targets for Rust, the smaller plugin first.
const RUST_TARGETS: [&str; 2] = ["wasm32-unknown-unknown", "wasm32-wasip2"];

/// Builds the plugin in a folder.
pub(super) fn build(options: &BuildOptions) -> anyhow::Result<ExitCode> {
    let folder = fs::canonicalize(&options.dir)
        .with_context(|| format!("there is no folder {}", options.dir.display()))?;
    let manifest = folder.join(FILE);
    let said =
        if manifest.is_file() { ManifestFile::read(&manifest)? } else { ManifestFile::default() };
    let Some(language) = said.language.or_else(|| guess(&folder)) else {
        let message = format!(
            "cannot tell the language of {}: name it in {FILE}, such as {{ \"language\": \"rust\" }}",
            folder.display()
        );
        return Err(Usage(message).into());
    };
    let name = short_name(&said, &folder);
    let output = match &options.output {
        Some(path) => std::path::absolute(path)?,
        None => folder.join(format!("{name}.wasm")),
    };
    let job = Job { folder, output };
    match language {
        Language::Rust => job.rust(),
        Language::C => job.c(),
        Language::Zig => job.zig(),
        Language::Js => job.js(),
        Language::Python => job.python(),
        Language::Go => job.go(),
    }?;
    output::line(job.output.display())?;
    Ok(ExitCode::SUCCESS)
}

/// The plugin's name without its team, or else the folder's.
fn short_name(said: &ManifestFile, folder: &Path) -> String {
    let named = said.name.as_deref().and_then(|name| name.rsplit('/').next()).map(str::to_owned);
    let folders = || folder.file_name().map(|name| name.to_string_lossy().into_owned());
    named.or_else(folders).unwrap_or_else(|| "plugin".to_owned())
}

/// By the files that a language cannot do without.
fn guess(folder: &Path) -> Option<Language> {
    [
        ("Cargo.toml", Language::Rust),
        ("main.c", Language::C),
        ("main.zig", Language::Zig),
        ("plugin.js", Language::Js),
        ("app.py", Language::Python),
        ("go.mod", Language::Go),
    ]
    .into_iter()
    .find_map(|(file, language)| folder.join(file).is_file().then_some(language))
}

/// One build.
struct Job {
    folder: PathBuf,
    output: PathBuf,
}

impl Job {
    fn rust(&self) -> anyhow::Result<()> {
        let mut rustc = self.command("rustc");
        rustc.args(["--print", "sysroot"]);
        let sysroot = ran(&mut rustc, "rustc", "install it from https://rustup.rs")?;
        let libraries = Path::new(sysroot.trim()).join("lib/rustlib");
        let Some(target) = RUST_TARGETS.into_iter().find(|it| libraries.join(it).is_dir()) else {
            bail!(
                "rustc has no WebAssembly target: run `rustup target add {}`",
                RUST_TARGETS.join("` or `rustup target add ")
            );
        };
        // Where it goes is said, whatever the user's settings say.
        let products = self.folder.join("target");
        let mut cargo = self.command("cargo");
        cargo.args(["build", "--release", "--target", target, "--target-dir"]).arg(&products);
        run(&mut cargo, "cargo", "install it from https://rustup.rs")?;
        let built = one_module(&products.join(target).join("release"))?;
        fs::copy(&built, &self.output)
            .with_context(|| format!("cannot write {}", self.output.display()))?;
        Ok(())
    }

    fn c(&self) -> anyhow::Result<()> {
        // The default stack of 16 MiB would be memory that the step is charged for.
        let mut zig = self.zig_compiler()?;
        zig.args(["cc", "-target", "wasm32-wasi", "-O2", "-Wl,-z,stack-size=65536"]);
        zig.args(["-Wl,--strip-all", "main.c", "-o"]).arg(&self.output);
        run(&mut zig, "zig", "")
    }

    fn zig(&self) -> anyhow::Result<()> {
        let mut zig = self.zig_compiler()?;
        zig.args(["build-exe", "main.zig", "-target", "wasm32-wasi", "-O", "ReleaseSmall"]);
        zig.args(["--stack", "131072"]).arg(format!("-femit-bin={}", self.output.display()));
        run(&mut zig, "zig", "")
    }

    fn js(&self) -> anyhow::Result<()> {
        let tool = self.folder.join("node_modules/.bin/componentize-qjs");
        if !tool.is_file() {
            output::note("installing componentize-qjs with npm (once)");
            let mut npm = self.command("npm");
            npm.args(["install", "--no-fund", "--no-audit"]);
            run(&mut npm, "npm", "install Node.js 20 or newer, which brings npm")?;
        }
        let mut componentize = self.command(&tool);
        componentize.args(["--wit", "wit", "--world", "step-minimal", "--js", "plugin.js"]);
        // A plugin has a function and no system: without WASI it is smaller and starts faster.
        componentize.args(["--sync", "--opt-size", "--stub-wasi", "--output"]).arg(&self.output);
        run(&mut componentize, "componentize-qjs", "name it in package.json and run `npm install`")
    }

    fn python(&self) -> anyhow::Result<()> {
        let bin = self.virtual_environment("componentize-py", COMPONENTIZE_PY)?;
        let mut componentize = self.command(bin.join("componentize-py"));
        componentize.args(["-d", "wit", "-w", "step-minimal", "componentize", "--stub-wasi"]);
        componentize.args(["app", "-o"]).arg(&self.output);
        run(&mut componentize, "componentize-py", "")
    }

    fn go(&self) -> anyhow::Result<()> {
        let mut go = self.command("go");
        go.env("GOOS", "wasip1").env("GOARCH", "wasm");
        go.args(["build", "-ldflags", "-s -w", "-o"]).arg(&self.output).arg(".");
        run(&mut go, "go", "install Go 1.21 or newer from https://go.dev/dl")
    }

    fn zig_compiler(&self) -> anyhow::Result<Command> {
        let bin = self.virtual_environment("zig", ZIG)?;
        let mut zig = self.command(bin.join("python"));
        zig.args(["-m", "ziglang"]);
        Ok(zig)
    }

    /// The programs of a package from `PyPI`, installed for this plugin alone, once.
    fn virtual_environment(&self, name: &str, package: &str) -> anyhow::Result<PathBuf> {
        let home = self.folder.join(".stateflow").join(name);
        let (bin, installed) = (home.join("bin"), home.join("installed"));
        if fs::read_to_string(&installed).is_ok_and(|it| it == package) {
            return Ok(bin);
        }
        output::note(&format!("installing {package} from PyPI (once)"));
        let help = "install Python 3 with its module venv";
        let mut python = self.command("python3");
        run(python.args(["-m", "venv", "--clear"]).arg(&home), "python3", help)?;
        let mut pip = self.command(bin.join("python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]);
        run(&mut pip, "pip", help)?;
        fs::write(&installed, package)
            .with_context(|| format!("cannot write {}", installed.display()))?;
        Ok(bin)
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder);
        command
    }
}

/// The one plugin among what cargo made.
fn one_module(folder: &Path) -> anyhow::Result<PathBuf> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut modules: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|it| it == "wasm"))
        .collect();
    match (modules.pop(), modules.is_empty()) {
        (Some(module), true) => Ok(module),
        (None, _) => bail!("cargo made no .wasm file: the crate needs `crate-type = [\"cdylib\"]`"),
        _ => bail!("{} has several .wasm files: remove it and build again", folder.display()),
    }
}

/// Runs a tool whose output is for people.
fn run(command: &mut Command, tool: &str, help: &str) -> anyhow::Result<()> {
    command.stdout(std::io::stderr());
    let status = command.status().map_err(|error| missing(error, tool, help))?;
    if status.success() {
        return Ok(());
    }
    bail!("{tool} failed: {status}; what it said is above")
}

/// Runs a tool and returns what it printed.
fn ran(command: &mut Command, tool: &str, help: &str) -> anyhow::Result<String> {
    let output = command.output().map_err(|error| missing(error, tool, help))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    bail!("{tool} failed: {}", String::from_utf8_lossy(&output.stderr).trim())
}

fn missing(error: std::io::Error, tool: &str, help: &str) -> anyhow::Error {
    if error.kind() == ErrorKind::NotFound {
        return anyhow::anyhow!("`{tool}` is missing: {help}");
    }
    anyhow::Error::new(error).context(format!("cannot run {tool}"))
}
