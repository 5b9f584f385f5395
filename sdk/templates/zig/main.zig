const std = @import("std");
const wasi = std.os.wasi;

/// The step's config arrives on standard input, its output is what is written to standard output.
pub fn main() u8 {
    var buffer: [65536]u8 = undefined;
    const config = read(&buffer) orelse return 1;
    const parts = [_]wasi.ciovec_t{
        part("{\"config\":"), part(config), part("}"),
    };
    var written: usize = undefined;
    for (&parts) |*it| if (wasi.fd_write(1, @ptrCast(it), 1, &written) != .SUCCESS) return 1;
    return 0;
}

fn part(text: []const u8) wasi.ciovec_t {
    return .{ .base = text.ptr, .len = text.len };
}

fn read(buffer: []u8) ?[]const u8 {
    var length: usize = 0;
    while (length < buffer.len) {
        const room = [_]wasi.iovec_t{.{ .base = buffer[length..].ptr, .len = buffer.len - length }};
        var got: usize = undefined;
        if (wasi.fd_read(0, &room, 1, &got) != .SUCCESS) return null;
        if (got == 0) return buffer[0..length];
        length += got;
    }
    return null;
}
