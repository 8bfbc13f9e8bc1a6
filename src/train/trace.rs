//! One training step as a trace that Perfetto and chrome://tracing open: the step, its passes and its operators over time.
//!
//! An operator is what the thread that leads the step sees: from handing the work to all threads to having it back. Two readings
//! of the clock an operator, tens of nanoseconds each; the events of the steps before tell how much memory the traced one needs,
//! so that it allocates nothing.

use std::fmt::Write;
use std::time::Instant;

use crate::kernels::Cost;
use crate::model::{Observer, Operator, Pass};

/// The format is that of "Trace Event Format" (Google, 2016): complete events `X`, counters `C`, names `M`.
const PROCESS: &str =
    r#"{"ph":"M","pid":1,"tid":1,"name":"process_name","args":{"name":"loopos"}}"#;

/// Steps from the start of the run to the traced one: the first ones find pages and caches cold.
const STEP: u64 = 3;

/// An operator that ran.
#[derive(Clone, Copy, Debug)]
struct Event {
    operator: Operator,
    pass: Pass,
    begin: Instant,
    end: Instant,
    cost: Cost,
}

/// Watches the steps of a run and keeps one of them.
#[derive(Debug)]
pub struct Trace {
    /// Steps watched so far.
    steps: u64,
    /// What the traced step is called.
    step: Option<u64>,
    seen: usize,
    open: Vec<Instant>,
    events: Vec<Event>,
}

/// What a reader of the trace must know.
#[derive(Clone, Debug)]
pub struct About {
    /// The model: `autoregressive_training`.
    pub name: String,
    /// The instruction set.
    pub isa: &'static str,
    /// Worker threads.
    pub threads: usize,
    /// Tokens of a step.
    pub tokens: usize,
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

impl Trace {
    /// A trace of the third step from now.
    pub fn new() -> Self {
        Self {
            steps: 0,
            step: None,
            seen: 0,
            open: Vec::with_capacity(8),
            events: Vec::new(),
        }
    }

    /// The step numbered `step` begins; whether it is to be observed.
    pub fn begin(&mut self, step: u64) -> bool {
        self.steps += 1;
        self.open.clear();
        match self.steps {
            STEP => {
                self.step = Some(step);
                self.events.reserve_exact(self.seen.max(64));
                true
            }
            earlier => {
                self.seen = 0;
                earlier < STEP
            }
        }
    }

    /// The trace as JSON; `None` where the run ended before the step.
    pub fn json(&self, about: &About) -> Option<String> {
        let (step, first, last) = (self.step?, self.events.first()?, self.events.last()?);
        let since = |time: Instant| time.duration_since(first.begin).as_secs_f64() * 1e6;
        let mut lines = vec![PROCESS.to_owned()];
        for (thread, name) in [(1, "step"), (2, "pass"), (3, "operator")] {
            lines.push(format!(
                r#"{{"ph":"M","pid":1,"tid":{thread},"name":"thread_name","args":{{"name":"{name}"}}}}"#
            ));
        }
        let mut flops = 0.0;
        for event in &self.events {
            flops += event.cost.flops;
            lines.push(operator(event, since(event.begin), since(event.end)));
            let gflops = event.cost.flops / (since(event.end) - since(event.begin)).max(1e-3) / 1e3;
            let begin = since(event.begin);
            lines.push(format!(
                r#"{{"ph":"C","pid":1,"name":"GFLOP/s","ts":{begin:.3},"args":{{"declared":{gflops:.3}}}}}"#
            ));
        }
        for (pass, begin, end) in self.passes() {
            let (begin, end) = (since(begin), since(end));
            lines.push(complete(2, pass.name(), "pass", begin, end, ""));
        }
        let end = since(last.end);
        let name = format!("step {step} of {}", about.name);
        let args = format!(
            r#""tokens":{},"threads":{},"isa":"{}","gflops":{:.3}"#,
            about.tokens,
            about.threads,
            about.isa,
            flops / end.max(1e-3) / 1e3
        );
        lines.push(complete(1, &name, "step", 0.0, end, &args));
        Some(format!(
            "{{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n{}\n]}}\n",
            lines.join(",\n")
        ))
    }

    /// Events of the same pass that follow each other, as one.
    fn passes(&self) -> Vec<(Pass, Instant, Instant)> {
        let mut passes: Vec<(Pass, Instant, Instant)> = Vec::new();
        for event in &self.events {
            match passes.last_mut() {
                Some((pass, _, end)) if *pass == event.pass => *end = event.end.max(*end),
                _ => passes.push((event.pass, event.begin, event.end)),
            }
        }
        passes
    }
}

fn operator(event: &Event, begin: f64, end: f64) -> String {
    let mut args = format!(r#""pass":"{}""#, event.pass.name());
    if event.cost.flops > 0.0 || event.cost.bytes() > 0.0 {
        let _ = write!(
            args,
            r#","flops":{:.0},"bytes":{:.0}"#,
            event.cost.flops,
            event.cost.bytes()
        );
    }
    complete(
        3,
        event.operator.name(),
        event.pass.name(),
        begin,
        end,
        &args,
    )
}

/// A complete event, times in microseconds. Names from outside are escaped, the rest is ours.
fn complete(thread: u32, name: &str, category: &str, begin: f64, end: f64, args: &str) -> String {
    let name = serde_json::Value::from(name);
    let length = (end - begin).max(0.0);
    format!(
        r#"{{"ph":"X","pid":1,"tid":{thread},"name":{name},"cat":"{category}","ts":{begin:.3},"dur":{length:.3},"args":{{{args}}}}}"#
    )
}

impl Observer for Trace {
    fn enter(&mut self, _: Operator, _: Pass) {
        self.open.push(Instant::now());
    }

    fn leave(&mut self, operator: Operator, pass: Pass, cost: Cost) {
        let end = Instant::now();
        let Some(begin) = self.open.pop() else { return };
        self.seen += 1;
        if self.steps == STEP {
            self.events.push(Event {
                operator,
                pass,
                begin,
                end,
                cost,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(steps: u64) -> Trace {
        let mut trace = Trace::new();
        for step in 1..=steps {
            if !trace.begin(100 + step) {
                continue;
            }
            for pass in Pass::ALL {
                for operator in [Operator::Qkv, Operator::Head] {
                    trace.enter(operator, pass);
                    trace.leave(operator, pass, Cost::gemm(2, 2, 2));
                }
            }
        }
        trace
    }

    fn about() -> About {
        About {
            name: "a \"model\"".to_owned(),
            isa: "avx2",
            threads: 2,
            tokens: 4_096,
        }
    }

    #[test]
    fn the_third_step_is_kept_as_events_that_nest() {
        let trace = watched(5);
        let text = trace.json(&about()).unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let events = document["traceEvents"].as_array().unwrap();
        let of = |thread: u64| {
            let complete = events
                .iter()
                .filter(move |event| event["ph"] == "X" && event["tid"] == thread);
            complete.collect::<Vec<_>>()
        };
        assert_eq!([of(1).len(), of(2).len(), of(3).len()], [1, 3, 6]);
        assert_eq!(of(1)[0]["name"], "step 103 of a \"model\"");
        let ends = |event: &serde_json::Value| {
            let begin = event["ts"].as_f64().unwrap();
            (begin, begin + event["dur"].as_f64().unwrap())
        };
        let (begin, end) = ends(of(1)[0]);
        for event in of(2).into_iter().chain(of(3)) {
            let inner = ends(event);
            assert!(inner.0 >= begin && inner.1 <= end + 0.01, "{event}");
        }
        assert_eq!(of(3)[0]["args"]["flops"], 16);
    }

    #[test]
    fn the_traced_step_allocates_nothing() {
        let trace = watched(3);
        assert_eq!((trace.events.len(), trace.events.capacity()), (6, 64));
    }

    #[test]
    fn a_run_that_is_too_short_has_no_trace() {
        assert!(watched(2).json(&about()).is_none());
        assert!(Trace::default().json(&about()).is_none());
    }
}
