//! The scripted upstream as a process: `cargo run -p fastroute-engine --example mock -- --port 8080 --script faults.json`.
//!
//! Several `--port` open several listeners that share one script and one log.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use fastroute_engine::mock::{Script, run};

const USAGE: &str = "usage: mock [--host 127.0.0.1] --port PORT [--port PORT]… [--script FILE.json]";

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("mock: {reason}");
            ExitCode::from(2)
        }
    }
}

fn start() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    let (mut host, mut ports, mut script) = ("127.0.0.1".to_owned(), Vec::new(), None);
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value; {USAGE}"));
        match name.as_str() {
            "--host" => host = value()?,
            "--port" => ports.push(value()?.parse::<u16>().map_err(|error| format!("--port: {error}"))?),
            "--script" => script = Some(PathBuf::from(value()?)),
            _ => return Err(format!("unknown argument {name}; {USAGE}")),
        }
    }
    if ports.is_empty() {
        return Err(USAGE.into());
    }
    let script = script.map_or_else(|| Ok(Script::default()), |file| read(&file))?;
    let mut listeners = Vec::new();
    for port in ports {
        let listener = TcpListener::bind((host.as_str(), port)).map_err(|error| format!("{host}:{port}: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        println!("listening on http://{address}/v1");
        listeners.push(listener);
    }
    run(listeners, script).map_err(|error| error.to_string())
}

fn read(file: &Path) -> Result<Script, String> {
    let json = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let folder = file.parent().unwrap_or(Path::new(""));
    Script::parse(&json, folder).map_err(|error| format!("{}: {error}", file.display()))
}
