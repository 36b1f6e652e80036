//! Where log lines go: into a buffer that a thread of its own writes out, so that no request waits for a disk.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, Utc};
use parking_lot::{Condvar, Mutex};

/// How long a line waits for others to be written with it.
const GATHER: Duration = Duration::from_millis(50);

/// With this many bytes waiting they are written at once.
const FULL: usize = 64 << 10;

/// With this many bytes waiting (the disk or the reader of a pipe is stuck) further lines are dropped and counted.
const MOST: usize = 4 << 20;

/// A handle to the log. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Sink(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// The writer waits here for lines.
    wake: Condvar,
    /// [`Sink::flush`] waits here for the writer.
    written: Condvar,
}

#[derive(Debug)]
struct State {
    waiting: Vec<u8>,
    /// Whether the writer holds bytes that are not written yet.
    writing: bool,
    /// Whether somebody waits for the lines to be out.
    hurry: bool,
    dropped: u64,
    /// A target to change to before the next write.
    next: Option<Target>,
    closed: bool,
    stamp: Stamp,
}

/// Where bytes go.
#[derive(Debug)]
pub(crate) enum Target {
    /// Standard error.
    Stderr,
    /// A file that is appended to.
    File(File),
}

/// The thread that writes; ended by [`Writer::close`].
#[derive(Debug)]
pub(crate) struct Writer {
    sink: Sink,
    thread: Option<JoinHandle<()>>,
}

impl Target {
    /// Standard error, or the file opened for appending and made where it is missing.
    pub(crate) fn open(file: Option<&Path>) -> io::Result<Self> {
        match file {
            None => Ok(Target::Stderr),
            Some(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path);
                file.map(Target::File).map_err(|e| {
                    let shown = PathBuf::from(path);
                    io::Error::new(e.kind(), format!("cannot open the log file {}: {e}", shown.display()))
                })
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Target::Stderr => io::stderr().lock().write_all(bytes),
            Target::File(file) => file.write_all(bytes),
        }
    }
}

impl Sink {
    /// Starts the writer.
    pub(crate) fn start(target: Target) -> io::Result<(Sink, Writer)> {
        let sink = Sink(Arc::new(Shared {
            state: Mutex::new(State {
                waiting: Vec::with_capacity(FULL / 4),
                writing: false,
                hurry: false,
                dropped: 0,
                next: None,
                closed: false,
                stamp: Stamp::default(),
            }),
            wake: Condvar::new(),
            written: Condvar::new(),
        }));
        let shared = Arc::clone(&sink.0);
        let thread = std::thread::Builder::new().name("log".to_owned()).spawn(move || shared.run(target))?;
        Ok((sink.clone(), Writer { sink, thread: Some(thread) }))
    }

    /// Appends one line, which `line` writes with its line break, given the time as `2026-01-31T12:00:00.123Z`.
    pub(crate) fn line(&self, line: impl FnOnce(&mut Vec<u8>, &str)) {
        let mut state = self.0.state.lock();
        if state.waiting.len() >= MOST {
            state.dropped += 1;
            return;
        }
        let State { waiting, stamp, .. } = &mut *state;
        let before = waiting.len();
        line(waiting, stamp.now());
        let wake = before == 0 || (before < FULL && waiting.len() >= FULL);
        drop(state);
        if wake {
            self.0.wake.notify_one();
        }
    }

    /// Waits, at most two seconds, until everything appended so far is written.
    pub(crate) fn flush(&self) {
        // The panic hook calls this, maybe while the panicking thread holds the lock.
        let Some(mut state) = self.0.state.try_lock_for(Duration::from_millis(200)) else { return };
        state.hurry = true;
        self.0.wake.notify_one();
        let end = std::time::Instant::now() + Duration::from_secs(2);
        while !state.waiting.is_empty() || state.writing {
            if self.0.written.wait_until(&mut state, end).timed_out() {
                break;
            }
        }
    }

    /// Changes to another target, or to the same file opened anew after it was rotated.
    pub(crate) fn redirect(&self, target: Target) {
        self.0.state.lock().next = Some(target);
    }
}

impl Shared {
    fn run(&self, mut target: Target) {
        let mut batch = Vec::with_capacity(FULL / 4);
        loop {
            let mut state = self.state.lock();
            while state.waiting.is_empty() && !state.closed {
                self.wake.wait(&mut state);
            }
            if state.waiting.is_empty() {
                return;
            }
            if state.waiting.len() < FULL && !state.closed && !state.hurry {
                self.wake.wait_for(&mut state, GATHER);
            }
            std::mem::swap(&mut batch, &mut state.waiting);
            state.writing = true;
            state.hurry = false;
            let dropped = std::mem::take(&mut state.dropped);
            if let Some(next) = state.next.take() {
                target = next;
            }
            drop(state);
            if dropped > 0 {
                // Writing to a vector cannot fail.
                let _ = writeln!(
                    batch,
                    "{{\"level\":\"WARN\",\"message\":\"log lines dropped\",\"lines\":{dropped}}}"
                );
            }
            // There is nowhere to tell that the log cannot be written.
            let _ = target.write(&batch);
            batch.clear();
            batch.shrink_to(FULL * 2);
            self.state.lock().writing = false;
            self.written.notify_all();
        }
    }
}

impl Writer {
    /// Writes what waits and ends the thread.
    pub(crate) fn close(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.sink.0.state.lock().closed = true;
        self.sink.0.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // The thread ends by returning; it has no other result.
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

/// The text of the current time, made anew once a second but for its last digits.
#[derive(Debug, Default)]
struct Stamp {
    second: u64,
    text: String,
}

impl Stamp {
    fn now(&mut self) -> &str {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != since.as_secs() || self.text.is_empty() {
            self.second = since.as_secs();
            let time =
                i64::try_from(since.as_secs()).ok().and_then(|s| DateTime::<Utc>::from_timestamp(s, 0));
            self.text = time.unwrap_or_default().format("%Y-%m-%dT%H:%M:%S.").to_string();
        }
        self.text.truncate("2026-01-31T12:00:00.".len());
        let ms = since.subsec_millis();
        for digit in [ms / 100, ms / 10 % 10, ms % 10] {
            self.text.push(char::from_digit(digit, 10).unwrap_or('0'));
        }
        self.text.push('Z');
        &self.text
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Sink {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { sink: self.clone(), bytes: Vec::with_capacity(256) }
    }
}

/// One event of `tracing`, appended whole when it is dropped.
#[derive(Debug)]
pub(crate) struct Line {
    sink: Sink,
    bytes: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.sink.line(|out, _| out.extend_from_slice(&self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> (Sink, Writer) {
        Sink::start(Target::open(Some(path)).unwrap()).unwrap()
    }

    #[test]
    fn lines_of_many_threads_arrive_whole_and_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (sink, writer) = open(&path);
        let threads: Vec<_> = (0..4)
            .map(|t| {
                let sink = sink.clone();
                std::thread::spawn(move || {
                    for n in 0..1000 {
                        sink.line(|out, _| writeln!(out, "thread {t} line {n} end").unwrap());
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        writer.close();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 4000);
        assert!(text.lines().all(|l| l.starts_with("thread ") && l.ends_with(" end")));
    }

    #[test]
    fn a_line_is_written_soon_without_a_flush() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (sink, _writer) = open(&path);
        sink.line(|out, now| writeln!(out, "{now} hello").unwrap());
        let end = std::time::Instant::now() + Duration::from_secs(5);
        while !std::fs::read_to_string(&path).unwrap().contains("hello") {
            assert!(std::time::Instant::now() < end, "the line was not written");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_rotated_file_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (sink, writer) = open(&path);
        sink.line(|out, _| out.extend_from_slice(b"one\n"));
        sink.flush();
        let moved = folder.path().join("log.1");
        std::fs::rename(&path, &moved).unwrap();
        sink.redirect(Target::open(Some(&path)).unwrap());
        sink.line(|out, _| out.extend_from_slice(b"two\n"));
        writer.close();
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "one\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
    }

    #[test]
    fn times_are_rfc_3339_with_milliseconds() {
        let mut stamp = Stamp::default();
        for _ in 0..3 {
            let text = stamp.now().to_owned();
            assert_eq!(text.len(), "2026-01-31T12:00:00.123Z".len());
            assert!(DateTime::parse_from_rfc3339(&text).is_ok(), "{text}");
        }
    }
}
