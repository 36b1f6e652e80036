//! `multipart/form-data` (RFC 7578) while it arrives.
//!
//! ```
//! use registry_core::{Body, http::form::{Form, FormError, FormLimits}};
//!
//! # async fn upload(headers: http::HeaderMap, body: Body) -> Result<(), FormError> {
//! let mut form = Form::new(&headers, body, FormLimits::default())?;
//! while let Some(part) = form.next().await? {
//!     if part.name == "content" {
//!         let body = form.file(); // handed to `Store::write_artifact`, in flat memory
//! #       let _ = body;
//!     } else {
//!         let text = form.text().await?;
//! #       let _ = text;
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Lines end in CR LF, as all clients write them. What the client sends in Content-Transfer-Encoding other than as it is, is
//! refused, as the RFC wants.

mod head;
mod scan;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{future, stream};
use http::{HeaderMap, header};
use http_body::Body as _;
use parking_lot::Mutex;

use self::scan::{Scanner, Step};
use crate::{Body, BodyError};

/// How much a form may be. The bytes of a file that is streamed ([`Form::file`]) are not counted: whoever takes them limits them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormLimits {
    /// Parts, files included.
    pub parts: usize,
    /// The bytes of all parts together that are not streamed: read as text, or passed over.
    pub field_bytes: u64,
    /// The bytes of one part's headers, and of what stands before the first part.
    pub header_bytes: usize,
}

impl Default for FormLimits {
    /// 5,000 parts, 4 MiB in fields, 8 KiB in headers.
    fn default() -> Self {
        Self { parts: 5000, field_bytes: 4 << 20, header_bytes: 8 << 10 }
    }
}

/// Why a form cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// The request is not `multipart/form-data` (415).
    #[error("the request is not multipart/form-data with a boundary")]
    NotAForm,
    /// It is not as it has to be (400).
    #[error("the form is malformed: {0}")]
    Malformed(&'static str),
    /// It is encoded in a way that is not understood (415).
    #[error("the form cannot be decoded: {0}")]
    Encoding(&'static str),
    /// Its fields are too large (413).
    #[error("the form's fields are larger than {limit} bytes")]
    TooLarge {
        /// The most.
        limit: u64,
    },
    /// It has too many parts (413).
    #[error("the form has more than {limit} parts")]
    TooMany {
        /// The most.
        limit: usize,
    },
    /// A text is not UTF-8 (400).
    #[error("the form's field {name:?} is not UTF-8")]
    NotText {
        /// The field, shortened.
        name: String,
    },
    /// The connection ended early.
    #[error("the request's body ended early")]
    Body(#[from] BodyError),
}

impl FormError {
    /// The status of the answer.
    pub fn status(&self) -> http::StatusCode {
        match self {
            Self::NotAForm | Self::Encoding(_) => http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge { .. } | Self::TooMany { .. } => http::StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed(_) | Self::NotText { .. } | Self::Body(_) => http::StatusCode::BAD_REQUEST,
        }
    }
}

/// A part's headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The field's name.
    pub name: String,
    /// The file's name, where it is a file. It is the client's word: parse it before it is used.
    pub file_name: Option<String>,
    /// The part's media type, where it was given.
    pub content_type: Option<String>,
}

/// A form that is read part by part.
pub struct Form(Arc<Mutex<Reader>>);

struct Reader {
    body: Body,
    scanner: Scanner,
    limits: FormLimits,
    parts: usize,
    field_bytes: u64,
    /// The name of the part whose bytes come next.
    current: Option<String>,
    failed: Option<FormError>,
}

impl Form {
    /// The form of a request. Nothing is read yet.
    pub fn new(headers: &HeaderMap, body: Body, limits: FormLimits) -> Result<Self, FormError> {
        let plain = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
        if !headers.get_all(header::CONTENT_ENCODING).iter().all(plain) {
            return Err(FormError::Encoding("a form is taken as it is, not compressed"));
        }
        let content_type = headers.get(header::CONTENT_TYPE).ok_or(FormError::NotAForm)?;
        let boundary = head::boundary(content_type).ok_or(FormError::NotAForm)?;
        Ok(Self(Arc::new(Mutex::new(Reader {
            body,
            scanner: Scanner::new(&boundary, limits.header_bytes),
            limits,
            parts: 0,
            field_bytes: 0,
            current: None,
            failed: None,
        }))))
    }

    /// The next part. What was not read of the one before is passed over (and counts as a field's bytes).
    pub async fn next(&mut self) -> Result<Option<Part>, FormError> {
        future::poll_fn(|cx| self.0.lock().poll_next(cx)).await
    }

    /// The current part's bytes, whole.
    pub async fn bytes(&mut self) -> Result<Bytes, FormError> {
        let mut whole = Vec::new();
        while let Some(piece) = future::poll_fn(|cx| self.0.lock().poll_field(cx)).await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.into())
    }

    /// The current part's text, whole.
    pub async fn text(&mut self) -> Result<String, FormError> {
        let name = self.0.lock().current.clone().unwrap_or_default();
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into())
            .map_err(|_| FormError::NotText { name: name.chars().take(100).collect() })
    }

    /// The current part's bytes as a stream, to be read before the next part is asked for. When it fails, [`Form::take_failure`] says
    /// why.
    pub fn file(&mut self) -> Body {
        let reader = Arc::clone(&self.0);
        let part = reader.lock().parts;
        Body::from_stream(stream::poll_fn(move |cx| {
            let mut reader = reader.lock();
            if reader.parts != part {
                return Poll::Ready(Some(Err(BodyError::new("the form went on to the next part"))));
            }
            match ready!(reader.poll_piece(cx)) {
                Ok(piece) => Poll::Ready(piece.map(Ok)),
                Err(error) => {
                    let told = BodyError::new(error.to_string());
                    reader.failed = Some(error);
                    Poll::Ready(Some(Err(told)))
                }
            }
        }))
    }

    /// Why a file's stream failed: the form's own fault, if it was that.
    pub fn take_failure(&mut self) -> Option<FormError> {
        self.0.lock().failed.take()
    }

    /// The body with what was not read of it, to be drained before a refusal.
    pub fn into_body(self) -> Body {
        std::mem::take(&mut self.0.lock().body)
    }
}

impl Reader {
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step, FormError>> {
        loop {
            match self.scanner.step()? {
                Step::More => {}
                step => return Poll::Ready(Ok(step)),
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Some(piece) = frame.data_ref() {
                        self.scanner.feed(piece);
                    }
                }
                Some(Err(error)) => return Poll::Ready(Err(FormError::Body(error))),
                None => return Poll::Ready(Err(FormError::Malformed("it ends early"))),
            }
        }
    }

    /// A piece of the current part; `None` at its end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, FormError>> {
        if self.current.is_none() {
            return Poll::Ready(Ok(None));
        }
        Poll::Ready(match ready!(self.poll_step(cx))? {
            Step::Piece(piece) => Ok(Some(piece)),
            Step::PartEnd => {
                self.current = None;
                Ok(None)
            }
            Step::More | Step::Head(_) | Step::End => Err(FormError::Malformed("a part has no end")),
        })
    }

    /// [`Self::poll_piece`], counted.
    fn poll_field(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, FormError>> {
        let piece = ready!(self.poll_piece(cx))?;
        self.field_bytes = self.field_bytes.saturating_add(piece.as_ref().map_or(0, Bytes::len) as u64);
        let limit = self.limits.field_bytes;
        Poll::Ready(if self.field_bytes > limit { Err(FormError::TooLarge { limit }) } else { Ok(piece) })
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Part>, FormError>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        while self.current.is_some() {
            ready!(self.poll_field(cx))?;
        }
        Poll::Ready(match ready!(self.poll_step(cx))? {
            Step::Head(part) => {
                let limit = self.limits.parts;
                if self.parts >= limit {
                    return Poll::Ready(Err(FormError::TooMany { limit }));
                }
                self.parts = self.parts.saturating_add(1);
                self.current = Some(part.name.clone());
                Ok(Some(part))
            }
            Step::End => Ok(None),
            Step::More | Step::Piece(_) | Step::PartEnd => Err(FormError::Malformed("a part has no headers")),
        })
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form").field("parts", &self.0.lock().parts).finish_non_exhaustive()
    }
}
