//! What takes turns: writing so many texts, reading a prompt, and reading as many bytes as the weights have.

use crate::kernels::gemm::Caches;
use crate::kernels::{Isa, Solo, Team, vec};
use crate::measure::session::{self, Phase};
use crate::model::{
    Compute, Generator, Layout, Packed, Parameters, Sampling, Shape, Switches, Unobserved, Weights,
};
use crate::parallel::Pool;
use crate::suites::SuiteError;
use crate::tensor::{Arena, LINE, Region};
use std::convert::Infallible;
use std::sync::Arc;

/// A model with random weights, ready to generate.
pub(super) struct Model {
    isa: Isa,
    shape: Shape,
    parameters: Parameters,
    packed: Packed,
    /// As many values as the weights that a token needs, in whole cache lines.
    region: Region,
}

impl Model {
    pub(super) fn new(isa: Isa, shape: &Shape, seed: u64) -> Result<Self, SuiteError> {
        let layout = Layout::new(shape);
        let mut parameters = Parameters::zeros(&layout, &mut Arena::new(layout.len)?);
        parameters.initialize(seed);
        let mut packed = Packed::new(
            isa,
            shape,
            &mut Arena::new(Packed::len(isa, shape))?,
            Switches::default(),
        );
        let compute = Compute {
            isa,
            caches: Caches::default(),
            team: &Solo,
            switches: Switches::default(),
        };
        packed.update(&compute, &parameters, false, &mut Unobserved);
        let values = weights(shape).next_multiple_of(LINE);
        let mut region = Arena::new(values)?.take(values);
        region.fill(0.5);
        Ok(Self {
            isa,
            shape: *shape,
            parameters,
            packed,
            region,
        })
    }

    /// Bytes of the weights that every token needs.
    pub(super) fn bytes(&self) -> f64 {
        (weights(&self.shape) * size_of::<f32>()) as f64
    }

    /// Tokens of a text before the window that is timed, and in it.
    pub(super) fn window(&self) -> (usize, usize) {
        let context = self.shape.context;
        ((context / 4).max(1), (context / 2).max(1))
    }

    /// Tokens of the prompt that is read at once.
    pub(super) fn prompt(&self) -> usize {
        self.shape.context - 1
    }
}

/// Elements of the matrices of all layers and of the head.
fn weights(shape: &Shape) -> usize {
    let (d, f) = (shape.d_model, shape.d_ff);
    shape.layers * (4 * d * d + 2 * d * f) + shape.vocab_size * d
}

/// What an arm does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Work {
    /// Reads as many bytes as the weights have, as often as a text has tokens that are timed: what stays in a cache is found there, as the
    /// weights are.
    Read,
    /// Reads a prompt and gives the first token.
    Prompt,
    /// Writes this many texts at once.
    Texts(usize),
}

/// One arm on its threads.
pub(super) struct Arm<'a> {
    pub(super) work: Work,
    model: &'a Model,
    pool: Arc<Pool>,
    caches: Caches,
    generator: Generator,
    /// Two prompts that differ from their first token on, for turns.
    prompts: [Vec<u32>; 2],
    turn: usize,
}

impl<'a> Arm<'a> {
    pub(super) fn new(
        model: &'a Model,
        pool: &Arc<Pool>,
        caches: Caches,
        work: Work,
    ) -> Result<Self, SuiteError> {
        let length = match work {
            Work::Texts(_) => model.window().0,
            _ => model.prompt(),
        };
        let token = |place: usize| (place * 7919 % model.shape.vocab_size) as u32;
        let prompts = [1, 2].map(|first| (first..first + length).map(token).collect::<Vec<_>>());
        let texts = match work {
            Work::Texts(texts) => texts,
            _ => 1,
        };
        let sampling = |seed| Sampling {
            seed,
            ..Sampling::default()
        };
        let starts: Vec<(&[u32], Sampling)> = (0..texts as u64)
            .map(|seed| (prompts[0].as_slice(), sampling(seed)))
            .collect();
        Ok(Self {
            work,
            model,
            pool: Arc::clone(pool),
            caches,
            generator: Generator::new(model.isa, &model.shape, &starts),
            prompts,
            turn: 0,
        })
    }

    pub(super) fn threads(&self) -> usize {
        self.pool.workers()
    }

    /// Tokens of one run, of all texts.
    pub(super) fn tokens(&self) -> usize {
        match self.work {
            Work::Read => 0,
            Work::Prompt => self.model.prompt(),
            Work::Texts(texts) => texts * self.model.window().1,
        }
    }

    fn run(&mut self) {
        let Self {
            model, generator, ..
        } = self;
        let compute = Compute {
            isa: model.isa,
            caches: self.caches,
            team: &*self.pool,
            switches: Switches::default(),
        };
        let weights = Weights {
            parameters: &model.parameters,
            packed: &model.packed,
        };
        match self.work {
            Work::Read => {
                for _ in 0..model.window().1 {
                    let pool = &self.pool;
                    pool.assemble(|| read(model.isa, compute.team, &model.region));
                }
            }
            Work::Prompt => self.pool.assemble(|| {
                std::hint::black_box(generator.next(&compute, weights, &[0]));
            }),
            Work::Texts(texts) => {
                let all: Vec<usize> = (0..texts).collect();
                for _ in 0..model.window().1 {
                    // As `loopos generate` does: the threads come together for each token.
                    let pool = &self.pool;
                    pool.assemble(|| {
                        std::hint::black_box(generator.next(&compute, weights, &all));
                    });
                }
            }
        }
    }

    /// Back to the place where a run starts.
    fn rewind(&mut self) {
        match self.work {
            Work::Read => {}
            Work::Prompt => {
                self.turn = 1 - self.turn;
                self.generator.replace(0, &self.prompts[self.turn]);
            }
            Work::Texts(texts) => {
                for text in 0..texts {
                    self.generator.replace(text, &self.prompts[0]);
                }
            }
        }
    }
}

/// Each thread reads parts of `region` once, in the size of a task of a product.
fn read(isa: Isa, team: &dyn Team, region: &[f32]) {
    let part = (region.len() / (8 * team.workers()))
        .max(1)
        .next_multiple_of(LINE);
    team.run(region.len().div_ceil(part), &|task, _| {
        let end = ((task + 1) * part).min(region.len());
        vec::stream_read(isa, &region[task * part..end], 1);
    });
}

/// All arms.
pub(super) struct Arms<'a> {
    pub(super) list: Vec<Arm<'a>>,
}

impl session::Arms for Arms<'_> {
    type Error = Infallible;

    fn count(&self) -> usize {
        self.list.len()
    }

    fn run(&mut self, arm: usize, _: Phase) -> Result<(), Infallible> {
        self.list[arm].run();
        Ok(())
    }

    fn between(&mut self, arm: usize, _: Phase) {
        self.list[arm].rewind();
    }
}
