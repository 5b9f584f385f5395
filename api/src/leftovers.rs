//! What is left of a request's body when its answer is ready.
//!
//! An answer to a caller who is still sending is lost if the connection closes: what arrives then is answered with a reset,
//! and the reset takes the answer along (RFC 9112, section 9.6). So what a refusal has left unread is read and thrown away
//! before the answer goes out, wherever the refusal came from.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Buf, Frame, SizeHint};

/// No more is thrown away than this, in bytes: twice the largest body that any call takes.
const MOST_BYTES: usize = 64 << 20;
/// How long the rest may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

type Left<B> = Arc<Mutex<Option<B>>>;

/// A body that is kept when it is dropped before its end.
pub(crate) struct Attended<B: Body> {
    body: Option<B>,
    /// Where it is kept; nowhere, if its caller will not send it unless it is asked for (`Expect: 100-continue`).
    left: Option<Left<B>>,
    waits_to_be_asked: bool,
}

/// Where a request's body is, if it was not read to its end.
pub(crate) struct Leftovers<B>(Option<Left<B>>);

/// Attends to a request's body.
pub(crate) fn attend<B: Body>(request: Request<B>) -> (Request<Attended<B>>, Leftovers<B>) {
    let waits_to_be_asked = request.headers().contains_key(header::EXPECT);
    let left = (!request.body().is_end_stream()).then(Left::default);
    let leftovers = Leftovers(left.clone());
    let attended = |body| Attended { body: Some(body), left, waits_to_be_asked };
    (request.map(attended), leftovers)
}

impl<B: Body<Error: Send> + Unpin> Leftovers<B> {
    /// Reads what is left, and keeps none of it. A caller who was too slow is not waited for once more.
    pub(crate) async fn discard(self, answer: StatusCode) {
        if answer != StatusCode::REQUEST_TIMEOUT {
            self.discard_within(MOST_BYTES, PATIENCE).await;
        }
    }

    async fn discard_within(self, most: usize, patience: Duration) {
        let left =
            self.0.and_then(|left| left.lock().unwrap_or_else(PoisonError::into_inner).take());
        let Some(mut body) = left else { return };
        let reading = async {
            let mut read = 0;
            // A caller who has gone hears no answer either.
            while let Some(Ok(frame)) = body.frame().await {
                read += frame.data_ref().map_or(0, Buf::remaining);
                if read > most {
                    return;
                }
            }
        };
        drop(tokio::time::timeout(patience, reading).await);
    }
}

impl<B: Body + Unpin> Body for Attended<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.waits_to_be_asked = false;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(body).poll_frame(context));
        if frame.is_none() {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B: Body> Drop for Attended<B> {
    fn drop(&mut self) {
        let Some(left) = self.left.take().filter(|_| !self.waits_to_be_asked) else { return };
        let body = self.body.take().filter(|body| !body.is_end_stream());
        *left.lock().unwrap_or_else(PoisonError::into_inner) = body;
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, Bytes, to_bytes};
    use futures::{StreamExt, stream};

    use super::*;

    const LITTLE: Duration = Duration::from_millis(10);

    /// Attends to a body, and has a handler do something with it.
    async fn left_by<F: Future>(
        request: Request<Body>,
        handler: impl FnOnce(Body) -> F,
    ) -> Leftovers<Body> {
        let (request, leftovers) = attend(request);
        handler(Body::new(request.into_body())).await;
        leftovers
    }

    /// Pieces of ten bytes, of which each that was taken is counted.
    fn pieces(count: usize, taken: &Arc<Mutex<usize>>) -> Body {
        let taken = Arc::clone(taken);
        let piece = move |_| {
            *taken.lock().unwrap() += 1;
            Ok::<_, std::io::Error>(Bytes::from_static(b"0123456789"))
        };
        Body::from_stream(stream::iter(0..count).map(piece))
    }

    #[tokio::test]
    async fn what_a_handler_has_not_read_is_read_and_what_it_has_is_not() {
        let taken = Arc::default();
        let first = async |body: Body| drop(body.into_data_stream().next().await);
        let unread = left_by(Request::new(pieces(7, &taken)), first).await;
        assert_eq!(*taken.lock().unwrap(), 1);
        unread.discard(StatusCode::BAD_REQUEST).await;
        assert_eq!(*taken.lock().unwrap(), 7);
        let all = async |body| drop(to_bytes(body, 100).await.unwrap());
        let read = left_by(Request::new(pieces(7, &taken)), all).await;
        assert!(read.0.unwrap().lock().unwrap().is_none());
        assert!(attend(Request::new(Body::empty())).1.0.is_none(), "there is nothing to attend to");
    }

    #[tokio::test]
    async fn nobody_is_read_from_without_end() {
        let taken = Arc::default();
        let endless = pieces(usize::MAX, &taken);
        let left = left_by(Request::new(endless), async |_| ()).await;
        left.discard_within(95, Duration::MAX).await;
        assert_eq!(*taken.lock().unwrap(), 10);
        let silent = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        left_by(Request::new(silent), async |_| ()).await.discard_within(95, LITTLE).await;
    }

    #[tokio::test]
    async fn who_was_too_slow_or_waits_to_be_asked_is_not_read_from() {
        let taken = Arc::default();
        let slow = left_by(Request::new(pieces(7, &taken)), async |_| ()).await;
        slow.discard(StatusCode::REQUEST_TIMEOUT).await;
        let waiting = Request::builder().header("expect", "100-continue");
        let waiting = waiting.body(pieces(7, &taken)).unwrap();
        left_by(waiting, async |_| ()).await.discard(StatusCode::BAD_REQUEST).await;
        assert_eq!(*taken.lock().unwrap(), 0);
    }
}
