//! An S3 server for the suites: SeaweedFS, on the loopback interface, with its files in a scratch folder.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process;
use crate::server::Storage;
use crate::setup::Tools;

const START_LIMIT: Duration = Duration::from_secs(60);
const KEY_ID: &str = "suites";
const SECRET: &str = "only-on-loopback";
/// The bucket that [`Seaweed::start`] makes.
pub(crate) const BUCKET: &str = "suites";

/// A running S3 server; it is stopped, and its data removed, when this is dropped.
#[derive(Debug)]
pub(crate) struct Seaweed {
    child: Child,
    addr: SocketAddr,
    data: PathBuf,
}

impl Seaweed {
    /// Starts the server in `dir` and makes the bucket.
    pub(crate) fn start(tools: &Tools, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir.join("data"))?;
        let identities = format!(
            "{{\"identities\":[{{\"name\":\"suites\",\"credentials\":[{{\"accessKey\":\"{KEY_ID}\",\"secretKey\":\"{SECRET}\"}}],\
             \"actions\":[\"Admin\",\"Read\",\"Write\",\"List\",\"Tagging\"]}}]}}"
        );
        fs::write(dir.join("s3.json"), identities)?;
        // Its services find each other by number, and the gRPC ports are told apart from the others here.
        let ports = free_ports(8)?;
        let [master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc] = ports[..] else {
            bail!("there are no free ports");
        };
        let mut command = process::clean(tools.program("seaweedfs", "weed")?, process::SYSTEM_PATH, dir);
        command.current_dir(dir).args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-filer"]);
        command.arg(format!("-dir={}", dir.join("data").display()));
        command.arg(format!("-s3.config={}", dir.join("s3.json").display()));
        command.args([format!("-master.port={master}"), format!("-master.port.grpc={master_grpc}")]);
        command.args([format!("-volume.port={volume}"), format!("-volume.port.grpc={volume_grpc}")]);
        command.args([format!("-filer.port={filer}"), format!("-filer.port.grpc={filer_grpc}")]);
        command.args([format!("-s3.port={s3}"), format!("-s3.port.grpc={s3_grpc}")]);
        // These have fixed ports, so that another of its kind on the machine would keep it from starting.
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]);
        command.args(["-master.volumeSizeLimitMB=512", "-volume.max=0", "-volume.fileSizeLimitMB=2048"]);
        let child = process::spawn(&mut command, &dir.join("weed.out"), &dir.join("weed.log"))?;
        let seaweed = Self { child, addr: SocketAddr::from(([127, 0, 0, 1], s3)), data: dir.join("data") };
        seaweed.ready(dir)?;
        let shell = format!("s3.bucket.create -name {BUCKET}\n");
        fs::write(dir.join("shell"), shell)?;
        let mut command = process::clean(tools.program("seaweedfs", "weed")?, process::SYSTEM_PATH, dir);
        command.current_dir(dir).stdin(fs::File::open(dir.join("shell"))?);
        command.args(["shell", &format!("-master=127.0.0.1:{master}.{master_grpc}")]);
        command.arg(format!("-filer=127.0.0.1:{filer}.{filer_grpc}"));
        process::capture(&mut command, START_LIMIT).context("the bucket could not be made")?;
        Ok(seaweed)
    }

    /// Where it answers, as a URL.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The access key and its secret.
    pub(crate) fn credentials(&self) -> (&'static str, &'static str) {
        (KEY_ID, SECRET)
    }

    /// A prefix of the bucket as the storage of a server.
    pub(crate) fn storage(&self, prefix: &str) -> Storage {
        Storage::S3 {
            endpoint: self.endpoint(),
            bucket: BUCKET.to_owned(),
            prefix: prefix.to_owned(),
            key_id: KEY_ID.to_owned(),
            secret: SECRET.to_owned(),
        }
    }

    /// Waits until the S3 port answers HTTP; a refusal of the unsigned request is an answer.
    fn ready(&self, dir: &Path) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            if answers(self.addr) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        let log = fs::read_to_string(dir.join("weed.log")).unwrap_or_default();
        bail!("SeaweedFS did not answer within {} s:\n{log}", START_LIMIT.as_secs());
    }
}

impl Drop for Seaweed {
    fn drop(&mut self) {
        process::signal_group(&self.child, "KILL");
        let _ = self.child.wait();
        // Its logs stay to be read; the volumes take gigabytes and can be read by nothing else.
        let _ = fs::remove_dir_all(&self.data);
    }
}

fn answers(addr: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&addr, Duration::from_secs(1)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let sent = stream.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    let mut head = [0; 9];
    sent.is_ok() && stream.read_exact(&mut head).is_ok() && head.starts_with(b"HTTP/1.1 ")
}

/// Ports that were free a moment ago, all at once, so that they differ.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let listeners = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_differ() {
        let mut ports = free_ports(8).unwrap();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 8);
    }
}
