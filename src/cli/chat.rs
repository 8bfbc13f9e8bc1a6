//! `loopos chat`: a conversation with a trained model, answer by answer.

mod conversation;

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

use signal_hook::consts::SIGTERM;

use super::answer::Answer;
use super::interrupt::Interrupt;
use super::outcome::{Exit, Failure, warn};
use super::sampling::{SamplingArguments, temperature};
use super::text_source::say;
use super::trained::{Ready, Trained};
use super::workers::Workers;
use crate::model::{Generator, Shape};
use crate::text::Tokenizer;
use crate::units::{Seconds, digits, grouped};
use conversation::{Conversation, Turn};

const EXAMPLES: &str = "\
Examples:
  loopos chat --model models/autoregressive_training
  loopos chat --model models/small --temperature 0.5 --repetition-penalty 1.2 --user Q --assistant A
  printf 'What is a river?\\n/stats\\n' | loopos chat --model models/small

The model continues a text of the form `User: ..`, `Assistant: ..`, and stops where it would speak for the user. What was said
before is part of the text as far as the model's context reaches: the oldest turns are dropped first.
Ctrl-C stops an answer, and ends the program where none is being given. /help lists the commands.";

const HELP: &str = "\
/clear        forget what was said
/save FILE    write the conversation to a file
/load FILE    go on with the conversation of a file
/stats        tokens, speed, use of the context
/temp X       choose tokens at temperature X; 0 always takes the likeliest
/help         this list
/exit         end; so does the end of the input";

/// What to type after `loopos chat`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The model: a run's output folder, one of its checkpoints, or a GPT-2 in Hugging Face's layout
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// How many tokens an answer has at most
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: u32,
    /// Who asks, in the text that the model continues
    #[arg(long, value_name = "NAME", default_value = "User")]
    user: String,
    /// Who answers
    #[arg(long, value_name = "NAME", default_value = "Assistant")]
    assistant: String,
    #[command(flatten)]
    sampling: SamplingArguments,
    /// Worker threads [default: one for each processor this process may use]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
}

/// Reads lines from stdin and answers each, until one says that it is enough.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let workers = Workers::new(arguments.threads.map(|threads| threads as usize))?;
    let trained = Trained::open(&arguments.model)?;
    let mut chat = Chat::new(arguments, &workers, &trained)?;
    let interrupt = Interrupt::install()?;
    let person = io::stdin().is_terminal();
    if person {
        say("/help lists the commands, /exit ends");
    }
    let mut line = String::new();
    loop {
        if person {
            let mut stderr = io::stderr();
            write!(stderr, "> ").and_then(|()| stderr.flush())?;
        }
        line.clear();
        interrupt.end_at_next();
        let count = io::stdin()
            .lock()
            .read_line(&mut line)
            .map_err(|error| Failure::failed(format!("cannot read from stdin: {error}")))?;
        interrupt.stop_at_next();
        if count == 0 {
            return Ok(Exit::Done);
        }
        match line.trim() {
            "" => {}
            "/exit" | "/quit" => return Ok(Exit::Done),
            command if command.starts_with('/') => chat.command(command)?,
            text => chat.answer(text, &interrupt)?,
        }
        if interrupt.exit() == Exit::Interrupted(SIGTERM as u8) {
            return Ok(interrupt.exit());
        }
    }
}

/// A conversation and the model it is with.
struct Chat<'a> {
    workers: &'a Workers,
    tokenizer: &'a Tokenizer,
    shape: Shape,
    ready: Ready,
    generator: Generator,
    conversation: Conversation,
    temperature: f32,
    max_tokens: usize,
    /// Strings and tokens that end an answer.
    stops: (Vec<String>, Vec<u32>),
    /// Tokens of the text that the newest answer continues.
    context: usize,
    /// Tokens and seconds, of the newest answer and of all.
    newest: (usize, f64),
    all: (usize, f64),
}

impl<'a> Chat<'a> {
    fn new(
        arguments: &Arguments,
        workers: &'a Workers,
        trained: &'a Trained,
    ) -> Result<Chat<'a>, Failure> {
        let tokenizer = trained.tokenizer.as_ref().ok_or_else(|| {
            Failure::wrong_use("this model has no tokenizer: one cannot talk with it")
                .help("loopos generate --tokens 5,17,3 continues ids")
        })?;
        let (shape, end) = (trained.shape, tokenizer.end_of_text());
        let tokens = arguments
            .sampling
            .stop_tokens(shape.vocab_size, Some(end))?;
        let conversation = Conversation::new(&arguments.user, &arguments.assistant);
        let mut stops = arguments.sampling.stops.clone();
        stops.push(conversation.user_speaks());
        let settings = arguments.sampling.settings(0);
        Ok(Chat {
            workers,
            tokenizer,
            shape,
            ready: trained.ready(workers)?,
            generator: Generator::new(workers.isa, &shape, &[(&[end], settings)]),
            conversation,
            temperature: settings.temperature,
            max_tokens: arguments.max_tokens as usize,
            stops: (stops, tokens),
            context: 0,
            newest: (0, 0.0),
            all: (0, 0.0),
        })
    }

    /// Answers a line, to stdout as the answer comes, and keeps both.
    fn answer(&mut self, text: &str, interrupt: &Interrupt) -> io::Result<()> {
        // Half of the context at most is left to the answer: the rest is for what was said before.
        let room = self.max_tokens.min(self.shape.context.div_ceil(2));
        let encode = |text: &str| self.tokenizer.encode(text);
        let ids = self
            .conversation
            .prompt(text, self.shape.context - room, encode);
        self.generator.replace(0, &ids);
        self.context = ids.len();
        let mut answer = Answer::new(&self.stops.0);
        let (mut shown, mut made, begin) = (String::new(), 0, Instant::now());
        let mut stdout = io::stdout().lock();
        while made < self.max_tokens
            && !answer.is_stopped()
            && !interrupt.stop().load(Ordering::Relaxed)
        {
            let tokens = self.workers.pool.assemble(|| {
                let compute = self.workers.compute();
                self.generator.next(&compute, self.ready.weights(), &[0])
            });
            let Some(token) = tokens.first().filter(|token| !self.stops.1.contains(token)) else {
                break;
            };
            made += 1;
            let mut piece = answer.push(self.tokenizer.piece(*token));
            if shown.is_empty() {
                // The space after the colon is not the answer's.
                piece = piece.trim_start().to_owned();
            }
            stdout.write_all(piece.as_bytes())?;
            stdout.flush()?;
            shown.push_str(&piece);
        }
        let rest = answer.finish();
        writeln!(stdout, "{rest}")?;
        shown.push_str(&rest);
        let seconds = begin.elapsed().as_secs_f64();
        self.newest = (made, seconds);
        self.all = (self.all.0 + made, self.all.1 + seconds);
        self.conversation.turns.push(Turn {
            user: text.to_owned(),
            assistant: shown.trim_end().to_owned(),
        });
        Ok(())
    }

    /// Does what a line that begins with a slash says. What is wrong with it is told, and the conversation goes on.
    fn command(&mut self, line: &str) -> io::Result<()> {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match (word, rest.is_empty()) {
            ("/help", _) => writeln!(io::stdout(), "{HELP}")?,
            ("/stats", _) => self.stats()?,
            ("/clear", _) => {
                self.conversation.turns.clear();
                self.context = 0;
                say("forgotten");
            }
            ("/save" | "/load", true) => warn(format!("{word} needs the name of a file")),
            ("/save", false) => match self.conversation.save(Path::new(rest)) {
                Ok(()) => say(&format!("saved to {rest}")),
                Err(error) => warn(format!("cannot write {rest}: {error}")),
            },
            ("/load", false) => match self.conversation.load(Path::new(rest)) {
                Ok(()) => say(&format!(
                    "{} turns from {rest}",
                    self.conversation.turns.len()
                )),
                Err(error) => warn(format!("cannot use {rest}: {error}")),
            },
            ("/temp", _) => match temperature(rest) {
                Ok(value) => {
                    self.temperature = value;
                    self.generator.set_temperature(0, value);
                    say(&format!("temperature {value}"));
                }
                Err(error) => warn(format!("/temp: {error}, as in /temp 0.7")),
            },
            _ => warn(format!("{word} is no command: /help lists them")),
        }
        Ok(())
    }

    fn stats(&self) -> io::Result<()> {
        let speed = |(tokens, seconds): (usize, f64)| match tokens {
            0 => "none yet".to_owned(),
            _ => format!(
                "{} tokens in {}, {} tokens/s",
                grouped(tokens as i64),
                Seconds(seconds),
                digits(tokens as f64 / seconds)
            ),
        };
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "turns          {}", self.conversation.turns.len())?;
        writeln!(stdout, "newest answer  {}", speed(self.newest))?;
        writeln!(stdout, "all answers    {}", speed(self.all))?;
        writeln!(
            stdout,
            "context        {} of {} tokens before the newest answer",
            grouped(self.context as i64),
            grouped(self.shape.context as i64)
        )?;
        writeln!(stdout, "temperature    {}", self.temperature)
    }
}
