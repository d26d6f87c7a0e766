//! Rules of `engine`.

use std::collections::HashMap;

use super::Rules;
use crate::{CUMULATIVE, DeadLetter, Query, SinkKind, SourceKind, Window, WindowKind};

impl Rules<'_> {
    pub(super) fn engine(&mut self) {
        let engine = &self.config.engine;
        self.job(&engine.job);
        self.unique_names(
            "engine.sources",
            engine.sources.iter().map(|source| source.name.as_str()),
            false,
        );
        self.unique_names(
            "engine.sinks",
            engine.sinks.iter().map(|sink| sink.name.as_str()),
            false,
        );
        self.unique_names(
            "engine.windows",
            engine.windows.iter().map(|window| window.name.as_str()),
            false,
        );
        self.unique_names(
            "engine.queries",
            engine.queries.iter().map(|query| query.name.as_str()),
            false,
        );
        self.one_standard_input();
        self.time();
        for (index, window) in engine.windows.iter().enumerate() {
            self.window(&format!("engine.windows[{index}]"), index, window);
        }
        for (index, query) in engine.queries.iter().enumerate() {
            self.query(&format!("engine.queries[{index}]"), query);
        }
        self.places();
        self.thresholds();
    }

    fn job(&mut self, job: &str) {
        let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
        let path = "engine.job";
        if self.is_sound(path)
            && !(job.len() <= 100 && job.chars().all(fits) && job.starts_with(|letter: char| letter != '.'))
        {
            self.error(
                path,
                "a job's name has at most 100 letters, digits, dots, dashes and underscores, and begins with no dot",
            );
        }
    }

    fn one_standard_input(&mut self) {
        let sources = self.config.engine.sources.iter().enumerate();
        let inputs = sources
            .filter(|(_, source)| matches!(source.kind, SourceKind::Stdin(_)))
            .map(|(index, _)| index);
        for index in inputs.skip(1).collect::<Vec<_>>() {
            // a source of a wrong type reads as standard input
            let path = format!("engine.sources[{index}]");
            if self.is_sound(&path) {
                self.error(&format!("{path}.type"), "standard input can be read only once");
            }
        }
    }

    fn time(&mut self) {
        let time = &self.config.engine.time;
        if time.allowed_lateness > time.correction_horizon && self.is_sound("engine.time") {
            let message = format!(
                "{} is longer than correctionHorizon ({}); a window cannot wait for records that no longer count",
                time.allowed_lateness, time.correction_horizon
            );
            self.error("engine.time.allowedLateness", message);
        }
    }

    fn window(&mut self, path: &str, index: usize, window: &Window) {
        if window.name == CUMULATIVE {
            self.error(
                &format!("{path}.name"),
                "the name cumulative is taken by the experiment to date, which is always there",
            );
        }
        if !["type", "size", "slide", "offset"]
            .iter()
            .all(|key| self.is_sound(&format!("{path}.{key}")))
        {
            return;
        }
        let node = self
            .tree
            .get("engine")
            .and_then(|engine| engine.get("windows"))
            .and_then(|windows| windows.items().get(index));
        let has_slide = node.is_some_and(|node| node.get("slide").is_some());
        match window.kind {
            WindowKind::Tumble { .. } if has_slide => {
                self.error(
                    &format!("{path}.slide"),
                    "tumble windows have no slide; leave it out, or use type: hop",
                );
            }
            WindowKind::Hop { .. } if !has_slide => {
                self.error(&format!("{path}.slide"), "is missing: hop windows need it");
            }
            WindowKind::Hop { size, slide } if slide > size => {
                let message =
                    format!("{slide} is longer than the size ({size}); events between two windows would be in none");
                self.error(&format!("{path}.slide"), message);
            }
            _ if window.offset >= window.slide() => {
                let message = format!(
                    "{} is not less than {}, after which windows repeat",
                    window.offset,
                    window.slide()
                );
                self.error(&format!("{path}.offset"), message);
            }
            _ => {}
        }
    }

    fn query(&mut self, path: &str, query: &Query) {
        let engine = &self.config.engine;
        let window_path = format!("{path}.window");
        if query.window == CUMULATIVE && self.is_sound(&window_path) {
            let message = "cumulative never closes, so no query is run over it; name one of engine.windows";
            self.error(&window_path, message);
        } else if engine.window(&query.window).is_none() && self.is_sound(&window_path) {
            let names = engine.windows.iter().map(|window| window.name.as_str());
            self.unknown(&window_path, "window", &query.window, names);
        }
        for (index, name) in query.sinks.iter().enumerate() {
            let sink_path = format!("{path}.sinks[{index}]");
            if !self.is_sound(&sink_path) {
                continue;
            }
            match engine.sink(name).map(|sink| &sink.kind) {
                Some(SinkKind::Lake(_)) => {
                    let message = "a lake has the engine's tables only; name a sink of another type";
                    self.error(&sink_path, message);
                }
                Some(_) => {}
                None => {
                    let names = engine.sinks.iter().map(|sink| sink.name.as_str());
                    self.unknown(&sink_path, "sink", name, names);
                }
            }
        }
        if query.sinks.is_empty() && self.is_sound(path) {
            self.warning(path, "the query names no sinks; its rows go nowhere");
        }
    }

    /// No two outputs may write the same place, and none may write what is read.
    fn places(&mut self) {
        let engine = &self.config.engine;
        let mut taken: HashMap<String, String> = HashMap::new();
        for (index, source) in engine.sources.iter().enumerate() {
            if let SourceKind::Lake(lake) = &source.kind {
                taken.insert(lake.url.to_string(), format!("engine.sources[{index}]"));
            }
        }
        for (index, sink) in engine.sinks.iter().enumerate() {
            let (key, place) = match &sink.kind {
                SinkKind::Lake(lake) => ("url", lake.url.to_string()),
                SinkKind::File(file) => ("path", file.path.display().to_string()),
                SinkKind::Terminal(_) => continue,
            };
            self.place_is_free(&mut taken, &format!("engine.sinks[{index}]"), key, place);
        }
        let DeadLetter::File(file) = &engine.dead_letter;
        self.place_is_free(&mut taken, "engine.deadLetter", "path", file.path.display().to_string());
        if let Some(url) = &engine.checkpoint.url {
            self.place_is_free(&mut taken, "engine.checkpoint", "url", url.to_string());
        }
    }

    fn place_is_free(&mut self, taken: &mut HashMap<String, String>, outlet: &str, key: &str, place: String) {
        let path = if outlet == "engine.checkpoint" {
            format!("{outlet}.{key}")
        } else {
            format!("{outlet}.options.{key}")
        };
        if place.is_empty() || !self.is_sound(&path) || !self.is_sound(&format!("{outlet}.type")) {
            return;
        }
        match taken.get(&place) {
            Some(other) => self.error(&path, format!("this place is that of {other} already; use another one")),
            None => {
                taken.insert(place, outlet.to_owned());
            }
        }
    }

    fn thresholds(&mut self) {
        let srm = &self.config.engine.signals.sample_ratio_mismatch;
        let path = "engine.signals.sampleRatioMismatch";
        if srm.error < srm.warning && self.is_sound(path) {
            self.error(
                &format!("{path}.error"),
                format!("{} is less than warning ({})", srm.error, srm.warning),
            );
        }
    }
}
