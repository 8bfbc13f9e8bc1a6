//! The trainer against PyTorch: logits, losses, the gradient of every weight, and every weight after ten AdamW steps.
//!
//! `cargo test --release --test parity -- --nocapture` prints the errors tensor by tensor. `LOOPOS_ISA` narrows the run to one
//! ISA; `LOOPOS_EXPECT_ISA` is the one that must run. `scripts/parity/README.md` says where the fixtures come from.

mod errors;
mod fixture;

use std::sync::Arc;

use errors::Table;
use fixture::Fixture;
use loopos::kernels::gemm::Caches;
use loopos::kernels::{Isa, Solo};
use loopos::model::{Compute, KvCache, Packed, Parameters, Switches, Unobserved, Weights};
use loopos::parallel::Pool;
use loopos::tensor::Arena;
use loopos::train::{Optimizer, Plan, Sharing, Trainer};

/// Largest relative errors: of logits and losses, and of gradients and weights.
const OUTPUT: f64 = 1e-5;
const TENSOR: f64 = 1e-4;

/// One way to compute the same.
#[derive(Clone, Copy)]
struct Setting {
    isa: Isa,
    workers: usize,
    micro_batch: usize,
}

impl Setting {
    /// Every ISA of this machine, one thread and two, micro-batches from one sequence to the whole batch.
    fn all(sequences: usize) -> impl Iterator<Item = Setting> {
        isas().into_iter().flat_map(move |isa| {
            [1, 2].into_iter().flat_map(move |workers| {
                (1..=sequences).map(move |micro_batch| Setting {
                    isa,
                    workers,
                    micro_batch,
                })
            })
        })
    }

    fn name(self) -> String {
        let (isa, threads) = (self.isa.name(), self.workers);
        format!("{isa}, {threads} threads, micro-batch {}", self.micro_batch)
    }
}

/// The ISAs to test: those of this machine, or the one that `LOOPOS_ISA` names.
fn isas() -> Vec<Isa> {
    match std::env::var("LOOPOS_ISA") {
        Ok(name) => vec![Isa::forced(&name).expect("LOOPOS_ISA names an ISA of this machine")],
        Err(_) => Isa::available(),
    }
}

#[test]
fn the_expected_isa_runs() {
    let widest = isas()[0].name();
    if let Ok(expected) = std::env::var("LOOPOS_EXPECT_ISA") {
        assert_eq!(
            widest, expected,
            "another ISA would run than the expected one"
        );
    }
    println!("parity on {widest}");
}

#[test]
fn tied_model_agrees_with_pytorch() {
    agrees(&Fixture::tied());
}

#[test]
fn untied_model_agrees_with_pytorch() {
    agrees(&Fixture::untied());
}

#[test]
fn model_with_ignored_targets_agrees_with_pytorch() {
    agrees(&Fixture::ignored());
}

fn agrees(fixture: &Fixture) {
    let mut table = Table::default();
    for setting in Setting::all(fixture.batch.sequences) {
        let mut trainer = trainer(fixture, setting);
        compare_outputs(fixture, setting, &mut trainer, &mut table);
        compare_gradients(fixture, setting, &mut trainer, &mut table);
        compare_training(
            fixture,
            setting,
            &mut self::trainer(fixture, setting),
            &mut table,
        );
    }
    println!("{}\n{table}", fixture.name);
    table.judge(fixture.name);
}

/// A trainer that starts from the fixture's weights.
fn trainer(fixture: &Fixture, setting: Setting) -> Trainer {
    let settings = &fixture.optimizer;
    let plan = Plan {
        shape: fixture.shape,
        batch: fixture.batch.sequences,
        length: fixture.batch.length,
        micro_batch: setting.micro_batch,
        optimizer: Optimizer {
            beta1: settings.beta1,
            beta2: settings.beta2,
            epsilon: settings.eps,
            weight_decay: settings.weight_decay,
            clip_norm: Some(settings.clip),
        },
        dropout: 0.0,
        recompute: false,
        by_sequences: false,
        isa: setting.isa,
        caches: Caches::default(),
        workers: setting.workers,
        switches: Switches::default(),
        sharing: Sharing::default(),
    };
    let cpus: Vec<usize> = (0..setting.workers).collect();
    let pool = Arc::new(Pool::new(&cpus).expect("threads"));
    let mut trainer = Trainer::new(&plan, pool, 0).expect("a trainer");
    let [weights, ..] = trainer.restore(0);
    for name in names(weights) {
        let to = weights.tensor_mut(&name).expect("a tensor of the layout");
        to.copy_from_slice(fixture.tensor(&name));
    }
    trainer
}

fn names(parameters: &Parameters) -> Vec<String> {
    let tensors = parameters.tensors();
    tensors.map(|(info, _)| info.name.clone()).collect()
}

/// Logits of training and of writing token by token, and the loss.
fn compare_outputs(fixture: &Fixture, setting: Setting, trainer: &mut Trainer, table: &mut Table) {
    let expected = fixture.tensor("logits");
    let logits = trainer.logits(&fixture.batch);
    table.compare("logits", &logits, expected, OUTPUT, &setting.name());
    let compute = Compute {
        isa: setting.isa,
        caches: Caches::default(),
        team: &Solo,
        switches: Switches::default(),
    };
    let mut written = Vec::with_capacity(expected.len());
    let len = Packed::len(setting.isa, &fixture.shape);
    let mut arena = Arena::new(len).expect("memory");
    let mut packed = Packed::new(setting.isa, &fixture.shape, &mut arena, compute.switches);
    packed.update(&compute, trainer.parameters(), false, &mut Unobserved);
    let weights = Weights {
        parameters: trainer.parameters(),
        packed: &packed,
    };
    for sequence in fixture.batch.inputs.chunks(fixture.batch.length) {
        let mut cache = KvCache::new(setting.isa, &fixture.shape, 1);
        for token in sequence.chunks(1) {
            written.extend_from_slice(cache.read(&compute, weights, &[(0, token)]));
        }
    }
    let label = "logits, token by token";
    table.compare(label, &written, expected, OUTPUT, &setting.name());
    let loss = [trainer.evaluate(&fixture.batch) as f32];
    let first = &fixture.tensor("losses")[..1];
    table.compare("loss", &loss, first, OUTPUT, &setting.name());
}

/// The gradient of every weight.
fn compare_gradients(
    fixture: &Fixture,
    setting: Setting,
    trainer: &mut Trainer,
    table: &mut Table,
) {
    trainer.gradient(&fixture.batch);
    for (info, gradient) in trainer.gradients().tensors() {
        let name = format!("grad.{}", info.name);
        let expected = fixture.tensor(&name);
        table.compare(&name, gradient, expected, TENSOR, &setting.name());
        if info.name.ends_with("c_attn.bias") {
            // Softmax does not see what is added to all scores of a query: of the keys' bias only rounding is left.
            let keys = largest(keys(gradient)) / largest(expected);
            table.bound(
                &format!("{name}, keys: zero"),
                keys,
                TENSOR,
                &setting.name(),
            );
        }
    }
}

/// Ten steps on the same batch: each loss and norm, then every weight.
fn compare_training(fixture: &Fixture, setting: Setting, trainer: &mut Trainer, table: &mut Table) {
    let (mut losses, mut norms) = (Vec::new(), Vec::new());
    let settings = &fixture.optimizer;
    for _ in 0..settings.steps {
        let report = trainer.step(&fixture.batch, settings.lr, &mut Unobserved);
        losses.push(report.loss as f32);
        norms.push(report.grad_norm as f32);
    }
    let setting = &setting.name();
    let (label, expected) = ("losses of ten steps", fixture.tensor("losses"));
    table.compare(label, &losses, expected, OUTPUT, setting);
    let (label, expected) = ("gradient norms of ten steps", fixture.tensor("grad_norms"));
    table.compare(label, &norms, expected, OUTPUT, setting);
    for (info, weight) in trainer.parameters().tensors() {
        let name = format!("after10.{}", info.name);
        let expected = fixture.tensor(&name);
        if !info.name.ends_with("c_attn.bias") {
            table.compare(&name, weight, expected, TENSOR, setting);
            continue;
        }
        let (ours, theirs) = (but_keys(weight), but_keys(expected));
        table.compare(&name, &ours, &theirs, TENSOR, setting);
        // Adam makes steps of the rounding in the keys' gradient, up to its learning rate each: no two programs agree on them.
        let start = keys(fixture.tensor(&info.name)).iter();
        let moved: Vec<f32> = start.zip(keys(weight)).map(|(a, b)| a - b).collect();
        let most = f64::from(settings.lr) * settings.steps as f64;
        let label = format!("{name}, keys: share of ten whole steps");
        table.bound(&label, largest(&moved) / most, 1.1, setting);
    }
}

/// The middle third of an attention's bias: that of the keys.
fn keys(bias: &[f32]) -> &[f32] {
    &bias[bias.len() / 3..bias.len() / 3 * 2]
}

/// The bias of queries and values.
fn but_keys(bias: &[f32]) -> Vec<f32> {
    let third = bias.len() / 3;
    [&bias[..third], &bias[2 * third..]].concat()
}

/// Largest absolute value.
fn largest(values: &[f32]) -> f64 {
    let sizes = values.iter().map(|value| f64::from(value.abs()));
    sizes.fold(0.0, f64::max)
}
