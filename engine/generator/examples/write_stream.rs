//! Writes a preset's stream, its truth and its configuration:
//! `cargo run -p backplane-generator --example write_stream -- property 17 4000 DIR`
//! makes `DIR/events-0.ndjson` …, `DIR/events-0.ndjson.truth.json` and `DIR/config.json`.

use std::error::Error;
use std::path::{Path, PathBuf};

use backplane_generator::{GeneratorConfig, generate_files};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [preset, seed, events, folder] = arguments.as_slice() else {
        return Err("usage: write_stream demo|bench|property SEED EVENTS DIR".into());
    };
    let (seed, events) = (seed.parse()?, events.parse()?);
    let config = match preset.as_str() {
        "demo" => GeneratorConfig::demo(events, seed),
        "bench" => GeneratorConfig::bench(events, seed),
        "property" => GeneratorConfig {
            events,
            ..GeneratorConfig::property(seed)
        },
        other => return Err(format!("there is no preset {other}").into()),
    };
    std::fs::create_dir_all(folder)?;
    let files: Vec<PathBuf> = (0..config.partitions)
        .map(|number| Path::new(folder).join(format!("events-{number}.ndjson")))
        .collect();
    let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let begun = std::time::Instant::now();
    let truth = generate_files(&config, &paths)?;
    let document = serde_json::to_string_pretty(&config.config_json())?;
    std::fs::write(Path::new(folder).join("config.json"), document + "\n")?;
    let per_line = truth.bytes / truth.lines.max(1);
    println!(
        "{} lines of {per_line} bytes on average in {:.2} s",
        truth.lines,
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}
