//! How a training run looks from outside: a bar on a terminal, and a line every few seconds where stderr is a file or a pipe.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::train::metrics_log::{StepRecord, ValidationRecord};
use crate::train::run::Events;
use crate::units::{Ratio, Seconds, digits};

const TEMPLATE: &str = "{bar:24} step {pos}/{len}  {msg}  {eta} left";

/// Between two lines where there is no terminal.
const PAUSE: Duration = Duration::from_secs(5);

/// The share of the newest step in the speed that is shown; the rest is what was shown before.
const NEWEST: f64 = 0.1;

/// Shows a run on stderr.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    steps: u64,
    begin: Instant,
    first: Option<u64>,
    spoke: Option<Instant>,
    speed: Option<f64>,
    loss: f64,
    validation: Option<f64>,
    /// Reward and divergence of the newest step, where it has them.
    reward: String,
}

impl Progress {
    /// A run of `steps`, of which `done` are done.
    pub(crate) fn new(steps: u64, done: u64) -> Progress {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(TEMPLATE)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar =
                ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr_with_hz(5));
            bar.with_style(style.progress_chars("=> "))
                .with_position(done)
        });
        Progress {
            bar,
            steps,
            begin: Instant::now(),
            first: None,
            spoke: None,
            speed: None,
            loss: f64::NAN,
            validation: None,
            reward: String::new(),
        }
    }

    /// One that says nothing: another process does.
    pub(crate) fn quiet() -> Progress {
        Progress {
            bar: Some(ProgressBar::hidden()),
            ..Progress::new(0, 0)
        }
    }

    /// Takes the bar away, so that what follows begins on a clean line.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn message(&self) -> String {
        let validation = self
            .validation
            .map_or_else(String::new, |loss| format!("  validation {loss:.4}"));
        let speed = self
            .speed
            .map_or_else(String::new, |speed| format!("  {} tokens/s", digits(speed)));
        format!("loss {:.4}{}{validation}{speed}", self.loss, self.reward)
    }

    /// A line above the bar, or on its own.
    pub(crate) fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            // Nobody is left to be told when stderr is closed.
            None => drop(writeln!(io::stderr(), "{text}")),
        }
    }
}

impl Events for Progress {
    fn step(&mut self, record: &StepRecord) {
        let before = *self.first.get_or_insert(record.step - 1);
        if let Some(reason) = &record.skip_reason {
            let (step, loss) = (record.step, record.loss);
            self.line(&format!("step {step}: loss {loss:.4}, left out: {reason}"));
        } else {
            self.loss = record.loss;
        }
        if let (Some(reward), Some(kl)) = (record.figures.get("reward"), record.figures.get("kl")) {
            self.reward = format!("  reward {reward:.3}  kl {kl:.3}");
        }
        let speed = self.speed.map_or(record.tokens_per_second, |speed| {
            speed * (1.0 - NEWEST) + record.tokens_per_second * NEWEST
        });
        self.speed = Some(speed);
        if let Some(bar) = &self.bar {
            bar.set_position(record.step);
            bar.set_message(self.message());
            return;
        }
        let last = record.step == self.steps;
        if last || self.spoke.is_none_or(|spoke| spoke.elapsed() >= PAUSE) {
            let each = self.begin.elapsed().as_secs_f64() / (record.step - before) as f64;
            let left = Seconds(each * self.steps.saturating_sub(record.step) as f64);
            self.line(&format!(
                "step {}/{}  {}  {left} left",
                record.step,
                self.steps,
                self.message()
            ));
            self.spoke = Some(Instant::now());
        }
    }

    fn validated(&mut self, record: &ValidationRecord) {
        self.validation = Some(record.validation_loss);
        let (step, loss) = (record.step, record.validation_loss);
        self.line(&format!(
            "step {step}: validation loss {loss:.4}, {}",
            match record.validation_accuracy {
                Some(share) => format!("accuracy {}", Ratio(share)),
                None => format!("perplexity {}", digits(loss.exp())),
            }
        ));
    }

    fn saved(&mut self, step: u64, path: &Path) {
        self.line(&format!("step {step}: saved {}", path.display()));
    }
}
