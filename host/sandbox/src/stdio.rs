//! The standard streams of a program: stdout into a capped buffer, stderr into the log. Nothing
//! ever waits.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use engine::attempt::LogLevel;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamError, StreamResult},
};

use crate::log_buffer::LogBuffer;

/// How much a guest may hand over in one write.
const WRITE_PERMIT: usize = 64 << 10;

/// Where bytes of a stream end up. Never blocks.
pub(crate) trait Sink: Clone + Send + Sync + 'static {
    /// Takes the bytes, or ends the call.
    fn accept(&self, bytes: &[u8]) -> Result<(), wasmtime::Error>;
}

/// A sink as a stream of the guest.
#[derive(Clone)]
pub(crate) struct SinkStream<S>(pub(crate) S);

/// The output of a program: its stdout, up to a limit.
#[derive(Clone)]
pub(crate) struct CappedOutput {
    limit: usize,
    state: Arc<Mutex<OutputState>>,
}

#[derive(Default)]
struct OutputState {
    bytes: Vec<u8>,
    overflowed: bool,
}

impl CappedOutput {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Arc::default() }
    }

    /// Whether the program wrote more than the limit.
    pub(crate) fn overflowed(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).overflowed
    }

    /// What was written so far.
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).bytes)
    }
}

impl Sink for CappedOutput {
    fn accept(&self, bytes: &[u8]) -> Result<(), wasmtime::Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.len() > self.limit - state.bytes.len() {
            // Ends the call at once: what follows would be thrown away anyway.
            state.overflowed = true;
            return Err(wasmtime::format_err!("the output is larger than {} bytes", self.limit));
        }
        state.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

/// Lines of text on their way into the log.
#[derive(Clone)]
pub(crate) struct LogSink {
    log: LogBuffer,
    partial: Arc<Mutex<Vec<u8>>>,
}

impl LogSink {
    pub(crate) fn new(log: LogBuffer) -> Self {
        Self { log, partial: Arc::default() }
    }

    /// Logs a last line that has no newline.
    pub(crate) fn flush_line(&self) {
        let mut partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        if !partial.is_empty() {
            self.emit(&mut partial);
        }
    }

    fn emit(&self, line: &mut Vec<u8>) {
        let text = String::from_utf8_lossy(line);
        self.log.push(LogLevel::Info, text.trim_end_matches('\r'), Vec::new());
        line.clear();
    }
}

impl Sink for LogSink {
    fn accept(&self, bytes: &[u8]) -> Result<(), wasmtime::Error> {
        let mut partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        // One byte more than is kept, so that the log sees that it cuts.
        let most = self.log.line_bytes() + 1;
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let ends = piece.ends_with(b"\n");
            let text = if ends { &piece[..piece.len() - 1] } else { piece };
            let room = most.saturating_sub(partial.len());
            partial.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                self.emit(&mut partial);
            }
        }
        Ok(())
    }
}

impl<S: Sink> StdoutStream for SinkStream<S> {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl<S: Sink> IsTerminal for SinkStream<S> {
    fn is_terminal(&self) -> bool {
        false
    }
}

#[wasmtime_wasi::async_trait]
impl<S: Sink> OutputStream for SinkStream<S> {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.accept(&bytes).map_err(StreamError::Trap)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_PERMIT)
    }
}

#[wasmtime_wasi::async_trait]
impl<S: Sink> Pollable for SinkStream<S> {
    async fn ready(&mut self) {}
}

/// Only there because the trait asks for it: preview 2 guests go through [`OutputStream`].
impl<S: Sink> AsyncWrite for SinkStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.accept(bytes).map(|()| bytes.len()).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogLimits;

    fn messages(writes: &[&[u8]], limits: LogLimits) -> Vec<String> {
        let log = LogBuffer::new(limits, Arc::default());
        let sink = LogSink::new(log.clone());
        for bytes in writes {
            sink.accept(bytes).unwrap();
        }
        sink.flush_line();
        log.finish().into_iter().map(|line| line.message).collect()
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        let lines = messages(&[b"he", b"llo\r\nwor", b"ld"], LogLimits::default());
        assert_eq!(lines, ["hello", "world"]);
    }

    #[test]
    fn a_line_without_end_is_cut_and_not_collected() {
        let limits = LogLimits { line_bytes: 4, ..LogLimits::default() };
        assert_eq!(messages(&[b"0123", b"4567", b"89\nab\n"], limits), ["0…", "ab"]);
    }

    #[test]
    fn output_is_taken_up_to_its_limit_and_not_a_byte_more() {
        let output = CappedOutput::new(3);
        output.accept(b"abc").unwrap();
        assert!(!output.overflowed());
        assert!(output.accept(b"d").is_err() && output.overflowed());
        assert_eq!(output.take(), b"abc");
    }
}
