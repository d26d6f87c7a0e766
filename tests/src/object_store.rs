//! An object store to test against.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::{python, root};

/// A server that speaks as Amazon S3 does, in memory, on the loopback. It ends when this is dropped.
pub struct ObjectStoreServer {
    process: Child,
    port: u16,
}

impl ObjectStoreServer {
    /// Starts one, with no bucket in it.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start() -> Self {
        let mut process = Command::new(python())
            .arg(root().join("tests/servers/object_store.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("an interpreter");
        let mut line = String::new();
        let output = process.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("text");
        let port = line.trim().parse();
        ObjectStoreServer {
            process,
            port: port
                .unwrap_or_else(|_| panic!("tests/servers/object_store.py did not start; run it by hand to see why")),
        }
    }

    /// Makes a bucket.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn make_bucket(&self, name: &str) {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).expect("a server");
        let request = format!(
            "PUT /{name} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.port
        );
        connection.write_all(request.as_bytes()).expect("a request is taken");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// The environment variables of a process that uses it.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ACCESS_KEY_ID", "test-key-id".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test-secret".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ENDPOINT", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ]
    }
}

impl Drop for ObjectStoreServer {
    fn drop(&mut self) {
        // it ends with its standard input too, so that nothing is left where a test was killed
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
