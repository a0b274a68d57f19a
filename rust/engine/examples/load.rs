//! The load generator as a process: `cargo run -p fastroute-engine --example load -- --address 127.0.0.1:4001 --workload W1`.
//!
//! Prints one line of JSON. With `--print-script` it prints the upstream's script for the workload and measures nothing.

use std::net::ToSocketAddrs as _;
use std::process::ExitCode;
use std::time::Duration;

use fastroute_engine::mock::load::{Load, Mode, Workload, run};

const USAGE: &str =
    "usage: load --address HOST:PORT --workload W1 [--model NAME] [--path PATH] [--header 'NAME: VALUE']…
            [--rate PER_SECOND] [--connections N] [--warm-up S] [--window S] [--timeout S] [--drain S] [--seed N]
       load --workload W1 --print-script";

fn main() -> ExitCode {
    match start() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("load: {reason}");
            ExitCode::from(2)
        }
    }
}

fn start() -> Result<String, String> {
    let options = Options::parse(std::env::args().skip(1))?;
    let workload = options.workload.ok_or_else(|| format!("--workload is missing; {USAGE}"))?;
    if options.print_script {
        return Ok(workload.script().to_owned());
    }
    let address = options.address.as_deref().ok_or_else(|| format!("--address is missing; {USAGE}"))?;
    let found = address.to_socket_addrs().map_err(|error| format!("{address}: {error}"))?.next();
    let address = found.ok_or_else(|| format!("{address}: no such address"))?;
    let mut shapes = workload.shapes(options.model.as_deref().unwrap_or("mock-small"));
    for shape in &mut shapes {
        shape.headers.extend_from_slice(&options.headers);
        if let Some(path) = &options.path {
            shape.path.clone_from(path);
        }
    }
    let mode = match (options.rate, options.connections, workload.mode()) {
        (Some(rate), most, _) => Mode::Open { rate, most_connections: most.unwrap_or(256) },
        (None, Some(connections), Mode::Closed { ramp, .. }) => Mode::Closed { connections, ramp },
        (None, _, mode) => mode,
    };
    let mut load = Load::new(address, shapes, mode);
    load.warm_up = options.warm_up.unwrap_or(load.warm_up);
    load.window = options.window.unwrap_or(load.window);
    load.timeout = options.timeout.unwrap_or(load.timeout);
    load.drain = options.drain.unwrap_or(load.drain);
    load.seed = options.seed.unwrap_or(load.seed);
    let report = run(&load).map_err(|error| error.to_string())?;
    serde_json::to_string(&report).map_err(|error| error.to_string())
}

#[derive(Default)]
struct Options {
    address: Option<String>,
    workload: Option<Workload>,
    model: Option<String>,
    path: Option<String>,
    headers: Vec<(String, String)>,
    rate: Option<f64>,
    connections: Option<usize>,
    warm_up: Option<Duration>,
    window: Option<Duration>,
    timeout: Option<Duration>,
    drain: Option<Duration>,
    seed: Option<u64>,
    print_script: bool,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(name) = arguments.next() {
            if name == "--print-script" {
                options.print_script = true;
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value; {USAGE}"))?;
            options.set(&name, value)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "--address" => self.address = Some(value),
            "--workload" => {
                let known: Vec<&str> = Workload::names().collect();
                let workload = Workload::parse(&value);
                self.workload =
                    Some(workload.ok_or_else(|| format!("--workload {value}: one of {}", known.join(", ")))?);
            }
            "--model" => self.model = Some(value),
            "--path" => self.path = Some(value),
            "--header" => {
                let (header, text) = value.split_once(':').ok_or_else(|| format!("--header {value}: needs a colon"))?;
                self.headers.push((header.trim().to_owned(), text.trim().to_owned()));
            }
            "--rate" => {
                let rate: f64 = number(name, &value)?;
                if !(rate > 0.0 && rate.is_finite()) {
                    return Err(format!("--rate {value}: must be more than 0"));
                }
                self.rate = Some(rate);
            }
            "--connections" => self.connections = Some(number(name, &value)?),
            "--warm-up" => self.warm_up = Some(seconds(name, &value)?),
            "--window" => self.window = Some(seconds(name, &value)?),
            "--timeout" => self.timeout = Some(seconds(name, &value)?),
            "--drain" => self.drain = Some(seconds(name, &value)?),
            "--seed" => self.seed = Some(number(name, &value)?),
            _ => return Err(format!("unknown argument {name}; {USAGE}")),
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|error| format!("{name} {value}: {error}"))
}

fn seconds(name: &str, value: &str) -> Result<Duration, String> {
    Duration::try_from_secs_f64(number(name, value)?).map_err(|error| format!("{name} {value}: {error}"))
}
