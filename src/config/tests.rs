//! What the configuration reader accepts, refuses and says about it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn small() -> Config {
    Config::from_json(built_in("autoregressive_training_small").unwrap()).unwrap()
}

/// What is said when one key is set.
fn refusal(path: &str, value: &str) -> String {
    let mut config = small();
    let message = config.set(path, value).unwrap_err().to_string();
    assert_eq!(config, small(), "a refused override changed something");
    message
}

#[test]
fn the_shipped_configurations_have_the_shapes_of_the_original() {
    let shape = |name: &str| {
        let model = Config::from_json(built_in(name).unwrap()).unwrap().model;
        [
            model.d_model,
            model.num_heads,
            model.num_layers,
            model.d_ff,
            model.vocab_size,
        ]
    };
    assert_eq!(
        shape("autoregressive_training_small"),
        [256, 8, 2, 1024, 10_000]
    );
    assert_eq!(shape("autoregressive_training"), [384, 8, 4, 1536, 16_000]);
    assert_eq!(shape("chain_of_thought"), [384, 8, 6, 1536, 16_000]);
    assert_eq!(shape("rlhf_training"), [384, 8, 6, 1536, 16_000]);
}

#[test]
fn every_file_of_the_folder_is_built_in() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let mut names: Vec<String> = BUILT_IN
        .iter()
        .map(|(name, _)| format!("{name}.json"))
        .collect();
    names.sort();
    assert_eq!(files, names);
}

#[test]
fn methods_that_do_not_exist_say_so() {
    assert!(small().method_ready().is_ok());
    let mut masked = small();
    masked.set("computation.method", "masked_lm").unwrap();
    let refusal = masked.method_ready().unwrap_err().to_string();
    assert!(
        refusal.starts_with("the method masked_lm does not exist yet"),
        "{refusal}"
    );
}

#[test]
fn no_memory_of_the_largest_sizes_overflows() {
    let mut config = small();
    let largest = [
        ("model.d_model", "65536"),
        ("model.num_heads", "4096"),
        ("model.num_layers", "1000"),
        ("model.d_ff", "262144"),
        ("model.vocab_size", "1000000"),
        ("training.batch_size", "65536"),
        ("training.micro_batch", "65536"),
    ];
    let message = config
        .set_all(&[&largest[..], &[("training.max_length", "1025")]].concat())
        .unwrap_err()
        .to_string();
    assert_eq!(
        message,
        "training.batch_size: 65536 sequences of training.max_length 1025 are more than 67108864 tokens in a step"
    );
    config
        .set_all(&[&largest[..], &[("training.max_length", "1024")]].concat())
        .unwrap();
    let (model, tokens) = (&config.model, 65_536 * 1_024);
    // As much as a block keeps of a token, of two sequences for one, of three models.
    let of_token = 16 * model.d_model + 4 * model.d_ff + model.num_heads;
    let all = [2 * tokens, of_token, model.num_layers, 3 * size_of::<f32>()];
    assert!(
        all.iter()
            .try_fold(1_usize, |all, size| all.checked_mul(*size))
            .is_some()
    );
}

#[test]
fn hostile_sizes_and_keys_are_refused_without_a_search_through_all_numbers() {
    // Primes: no divisor ends a search early.
    let large = usize::MAX - 58;
    for (heads, width) in [(large - 1, large), (usize::MAX, large), (65_537, large)] {
        let mut config = small();
        let (heads, width) = (heads.to_string(), width.to_string());
        let sizes = [
            ("model.num_heads", &*heads),
            ("model.d_model", &*width),
            ("training.batch_size", &*width),
            ("training.micro_batch", &*heads),
        ];
        let message = config.set_all(&sizes).unwrap_err().to_string();
        assert!(message.contains("model.d_model: must be from 1 to 65536"));
    }
    let keys: Vec<String> = (0..100_000).map(|key| format!("\"key{key}\": 1")).collect();
    let message = Config::from_json(&format!("{{{}}}", keys.join(", ")))
        .unwrap_err()
        .to_string();
    assert_eq!(message.lines().count(), 50, "as many as can be read");
    let message = refusal(&"x".repeat(100_000), "1");
    assert!(message.ends_with("there is no such key; the sections are model, computation, training, data, posttraining"), "{}", &message[message.len() - 200..]);
}

#[test]
fn unknown_keys_name_the_nearest() {
    for (path, nearest) in [
        ("training.batchsize", "training.batch_size"),
        ("training.epochs", "training.num_epochs"),
        ("model.layers", "model.num_layers"),
        ("model.learning_rate", "training.learning_rate"),
        ("d_model", "model.d_model"),
        ("trainin", "training"),
        ("training.schedule.min", "training.schedule.min_ratio"),
    ] {
        let message = refusal(path, "1");
        assert_eq!(
            message,
            format!("{path}: there is no such key; the nearest is {nearest}")
        );
    }
    assert!(refusal("zzz", "1").contains("model, computation, training, data, posttraining"));
}

#[test]
fn wrong_types_say_what_is_expected() {
    assert_eq!(
        refusal("training.batch_size", "many"),
        "training.batch_size: must be a whole number, 0 or more, not string \"many\""
    );
    assert!(refusal("training.batch_size", "1.5").contains("whole number"));
    assert!(refusal("training.seed", "-1").contains("whole number"));
    assert!(refusal("training.learning_rate", "NaN").contains("must be a number"));
    assert!(refusal("training", "3").contains("an object"));
    assert!(refusal("computation.method", "rlfh").contains("`rlhf`"));
    let message = Config::from_json(r#"{"model": {}}"#)
        .unwrap_err()
        .to_string();
    assert_eq!(message, "model.type: is missing");
}

#[test]
fn impossible_combinations_are_refused_all_at_once() {
    let mut config = small();
    let overrides = [
        ("model.num_heads", "7"),
        ("training.micro_batch", "5"),
        ("training.max_steps", "10"),
        ("training.warmup_steps", "11"),
        ("training.schedule.gamma", "0.5"),
        ("training.dropout", "1.0"),
        ("model.vocab_size", "0"),
        ("model.context", "64"),
    ];
    let message = config.set_all(&overrides).unwrap_err().to_string();
    for (path, words) in [
        ("model.num_heads", "nearest that do are 4 and 8"),
        ("training.micro_batch", "nearest that do are 4 and 8"),
        ("training.warmup_steps", "more than training.max_steps 10"),
        (
            "training.schedule.gamma",
            "no parameter of the schedule warmup_cosine",
        ),
        ("training.dropout", "must be from 0 to 0.95"),
        ("model.vocab_size", "from 1 to"),
        ("model.context", "fewer than training.max_length 128"),
    ] {
        let found = message
            .lines()
            .any(|line| line.starts_with(&format!("{path}: ")) && line.contains(words));
        assert!(found, "{path} .. {words} is not in\n{message}");
    }
}

#[test]
fn overrides_apply_together_and_defaults_follow() {
    let mut config = small();
    assert_eq!(config.context(), 128);
    let overrides = [
        ("model.d_model", "96"),
        ("model.num_heads", "6"),
        ("training.max_length", "64"),
    ];
    config.set_all(&overrides).unwrap();
    assert_eq!(
        (
            config.model.d_model,
            config.model.num_heads,
            config.context()
        ),
        (96, 6, 64)
    );
    config
        .set(
            "training.schedule",
            r#"{"kind": "one_cycle", "rising": 0.2}"#,
        )
        .unwrap();
    let rule = Rule::OneCycle {
        rising: 0.2,
        start_divisor: 25.0,
        end_divisor: 1e4,
    };
    assert_eq!(config.training.schedule.rule(), rule);
    config.set("data.output_dir", "out/here").unwrap();
    assert_eq!(config.data.output_dir.as_deref(), Some("out/here"));
    assert_eq!(
        Config::parse_override(" a.b = c=d ").unwrap(),
        ("a.b", "c=d")
    );
    assert!(Config::parse_override("a.b").is_err());
}

#[test]
fn the_effective_configuration_loads_to_itself() {
    for (_, text) in BUILT_IN {
        let effective = Config::from_json(text).unwrap().effective();
        let again = Config::from_json(&effective.to_string()).unwrap();
        assert_eq!(again.effective(), effective);
    }
}

#[test]
fn text_that_is_no_configuration_is_refused() {
    for (text, words) in [
        ("", "EOF"),
        ("[]", "braces"),
        (
            "{\"model\": {\"d_model\": 1, \"d_model\": 2}}",
            "`d_model` is there twice at line 1",
        ),
        ("{\"model\": NaN}", "line 1"),
        ("{\"training\": {\"learning_rate\": 1e999}}", "out of range"),
        ("{} {}", "trailing"),
    ] {
        let message = Config::from_json(text).unwrap_err().to_string();
        assert!(message.contains(words), "{text}: {message}");
    }
    assert!(Config::from_json(&"[".repeat(100_000)).is_err());
    assert!(matches!(
        Config::load(Path::new("/nowhere.json")),
        Err(ConfigError::Read { .. })
    ));
    assert!(
        Config::find("autoregressive")
            .unwrap_err()
            .to_string()
            .contains("autoregressive_training_small")
    );
    assert_eq!(
        Config::find("autoregressive_training_small").unwrap(),
        small()
    );
}

#[test]
fn files_of_the_original_are_understood_or_refused_with_a_reason() {
    let text = r#"{
        "model": {"type": "transformer", "d_model": 384, "num_heads": 8, "num_layers": 4, "d_ff": 1536, "vocab_size": 16000},
        "computation": {"mode": "pretraining", "method": "autoregressive", "description": "GPT-style"},
        "training": {"max_length": 96, "batch_size": 32, "num_epochs": 10, "random_seed": 7,
            "regularization": {"dropout": 0.0, "weight_decay": 0.01}, "adaptive_lr": {"initial_lr": 0.001}},
        "data": {"input_file": "data/pretraining/text/a.txt", "output_dir": "outputs/autoregressive", "validation_split": 0.1}
    }"#;
    let config = Config::from_json(text).unwrap();
    let training = &config.training;
    assert_eq!(
        (training.seed, training.weight_decay, training.learning_rate),
        (7, 0.01, 0.001)
    );
    assert_eq!(training.validation_split, 0.1);
    let retired = text.replace("\"initial_lr\"", "\"T_0\": 5, \"initial_lr\"");
    let message = Config::from_json(&retired).unwrap_err().to_string();
    assert!(
        message.starts_with("training.adaptive_lr: use training.schedule"),
        "{message}"
    );
    let both = text.replace("\"random_seed\": 7", "\"random_seed\": 7, \"seed\": 8");
    let message = Config::from_json(&both).unwrap_err().to_string();
    assert!(
        message.starts_with("training.random_seed: is the old name of training.seed"),
        "{message}"
    );
    assert!(refusal("training.random_seed", "1").contains("is called training.seed here"));
    assert!(refusal("training.num_workers", "1").contains("nothing to prefetch"));
}

/// Every path that holds a value, not a section.
fn leaves(value: &Value, prefix: &str, found: &mut Vec<String>) {
    for (key, inner) in value.as_object().unwrap() {
        let path = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        if inner.is_object() {
            leaves(inner, &path, found);
        } else {
            found.push(path);
        }
    }
}

/// The value at a path, and removal of it.
fn slot<'a>(value: &'a mut Value, path: &str) -> (&'a mut serde_json::Map<String, Value>, String) {
    let (section, key) = path.rsplit_once('.').unwrap();
    let section = section.split('.').fold(value, |value, key| &mut value[key]);
    (section.as_object_mut().unwrap(), key.to_owned())
}

/// A valid configuration, or an error that names the path (or, for text that is not JSON, its place).
fn named(text: &str, path: &str) {
    match Config::from_json(text) {
        Ok(config) => assert_eq!(
            Config::from_json(&config.effective().to_string())
                .unwrap()
                .effective(),
            config.effective()
        ),
        Err(ConfigError::Problems { problems }) => {
            // Changing one key may also make another impossible, which then is the one named.
            assert!(
                problems.iter().all(|problem| problem.path.contains('.')),
                "{path}: {problems:?}"
            );
            assert!(problems.iter().all(|problem| !problem.message.is_empty()));
        }
        Err(error) => assert!(error.to_string().contains("line 1"), "{path}: {error}"),
    }
}

#[test]
fn every_field_survives_every_bad_value() {
    let effective = small().effective();
    let mut paths = Vec::new();
    leaves(&effective, "", &mut paths);
    assert!(paths.len() > 40, "{paths:?}");
    for path in &paths {
        let bad = [
            "0",
            "-1",
            "NaN",
            "1e308",
            "1e999",
            "18446744073709551616",
            "\"word\"",
            "\"\"",
            "[]",
            "{}",
            "{\"a\":1}",
            "true",
            "null",
        ];
        for value in bad {
            let mut changed = effective.clone();
            let (section, key) = slot(&mut changed, path);
            section.insert(key, json!("@"));
            named(&changed.to_string().replace("\"@\"", value), path);
            let _ = small().set(path, value);
        }
        let mut changed = effective.clone();
        let (section, key) = slot(&mut changed, path);
        section.remove(&key);
        named(&changed.to_string(), path);
        section_with_unknown(&effective, path);
    }
}

fn section_with_unknown(effective: &Value, path: &str) {
    let mut changed = effective.clone();
    let (section, key) = slot(&mut changed, path);
    section.insert(format!("{key}x"), json!(1));
    let message = Config::from_json(&changed.to_string())
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with(&format!("{path}x: there is no such key; the nearest is ")),
        "{message}"
    );
}

proptest! {
    #[test]
    fn any_number_anywhere_is_used_or_refused_by_its_path(number in any::<f64>(), whole in any::<i64>(), pick in any::<prop::sample::Index>()) {
        let effective = small().effective();
        let mut paths = Vec::new();
        leaves(&effective, "", &mut paths);
        let path = &paths[pick.index(paths.len())];
        for value in [json!(number), json!(whole), json!(whole.unsigned_abs())] {
            let mut changed = effective.clone();
            let (section, key) = slot(&mut changed, path);
            section.insert(key, value);
            named(&changed.to_string(), path);
        }
    }

    #[test]
    fn any_override_is_used_or_refused(path in "[a-z_.]{0,30}", value in ".{0,20}") {
        let _ = small().set(&path, &value);
        let _ = small().set(&format!("training.{path}"), &value);
        let _ = Config::parse_override(&value);
    }

    #[test]
    fn any_text_is_used_or_refused(text in ".{0,200}") {
        let _ = Config::from_json(&text);
    }
}
