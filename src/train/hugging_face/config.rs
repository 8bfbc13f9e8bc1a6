//! `config.json` to sizes and back, with the defaults of transformers' `GPT2Config`.

use serde_json::{Value, json};

use crate::json::parse;
use crate::model::Shape;

/// GELU in its tanh form, the one that is computed here, by the names that transformers gives it.
const GELU: [&str; 2] = ["gelu_new", "gelu_pytorch_tanh"];

/// The largest sizes that are believed: far beyond what one machine computes, and small enough that no product overflows.
const MOST: [(&str, usize); 6] = [
    ("vocab_size", 1_000_000),
    ("n_positions", 65_536),
    ("n_embd", 65_536),
    ("n_head", 4_096),
    ("n_layer", 1_000),
    ("n_inner", 262_144),
];

/// Switches that change what is computed, with the value that this program computes.
const SWITCHES: [(&str, bool, &str); 3] = [
    (
        "scale_attn_weights",
        true,
        "attention scores are divided by the root of the head's width here",
    ),
    (
        "scale_attn_by_inverse_layer_idx",
        false,
        "attention is not scaled by layer here",
    ),
    (
        "add_cross_attention",
        false,
        "there is no cross-attention here",
    ),
];

/// The sizes that a `config.json` describes.
///
/// # Errors
/// What is wrong or is not computed here, with its key.
pub(super) fn shape(text: &str) -> Result<Shape, String> {
    let config = parse(text.as_bytes()).map_err(|error| error.to_string())?;
    if !config.is_object() {
        return Err("it holds no object".to_owned());
    }
    check_computation(&config)?;
    let d_model = size(&config, "n_embd", 768)?;
    let shape = Shape {
        vocab_size: size(&config, "vocab_size", 50_257)?,
        context: size(&config, "n_positions", 1024)?,
        d_model,
        heads: size(&config, "n_head", 12)?,
        layers: size(&config, "n_layer", 12)?,
        d_ff: size(&config, "n_inner", 4 * d_model)?,
        tied: switch(&config, "tie_word_embeddings", true)?,
        scalar_head: false,
    };
    shape.check().map_err(|error| error.to_string())?;
    Ok(shape)
}

fn check_computation(config: &Value) -> Result<(), String> {
    match &config["model_type"] {
        Value::String(kind) if kind == "gpt2" => {}
        Value::Null => return Err("`model_type` is missing: it must say gpt2".to_owned()),
        other => {
            return Err(format!(
                "`model_type` is {other}, and only gpt2 is computed"
            ));
        }
    }
    match &config["activation_function"] {
        Value::Null => {}
        Value::String(name) if GELU.contains(&name.as_str()) => {}
        other => {
            return Err(format!(
                "`activation_function` is {other}, and only gelu_new is computed"
            ));
        }
    }
    match &config["layer_norm_epsilon"] {
        Value::Null => {}
        value if value.as_f64() == Some(1e-5) => {}
        other => {
            return Err(format!(
                "`layer_norm_epsilon` is {other}, and only 1e-05 is computed"
            ));
        }
    }
    for (key, computed, why) in SWITCHES {
        let found = switch(config, key, computed)?;
        if found != computed {
            return Err(format!("`{key}` is {found}: {why}"));
        }
    }
    let is_empty =
        |value: &Value| value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
    for key in ["quantization_config", "pruned_heads"] {
        if !is_empty(&config[key]) {
            return Err(format!("`{key}` is set: such models are not computed"));
        }
    }
    Ok(())
}

fn size(config: &Value, key: &str, default: usize) -> Result<usize, String> {
    let most = MOST
        .iter()
        .find(|(name, _)| *name == key)
        .map_or(usize::MAX, |(_, most)| *most);
    let found = match &config[key] {
        Value::Null => default,
        value => value
            .as_u64()
            .and_then(|size| usize::try_from(size).ok())
            .ok_or_else(|| format!("`{key}` is {value}, not a whole number"))?,
    };
    if (1..=most).contains(&found) {
        Ok(found)
    } else {
        Err(format!("`{key}` must be from 1 to {most}, not {found}"))
    }
}

fn switch(config: &Value, key: &str, default: bool) -> Result<bool, String> {
    match &config[key] {
        Value::Null => Ok(default),
        Value::Bool(value) => Ok(*value),
        other => Err(format!("`{key}` is {other}, not true or false")),
    }
}

/// The `config.json` of a model of this shape. Without an end of text, transformers is told that there is none: its default is
/// an id of the original GPT-2.
pub(super) fn describe(shape: &Shape, end_of_text: Option<u32>) -> Value {
    json!({
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": shape.vocab_size,
        "n_positions": shape.context,
        "n_ctx": shape.context,
        "n_embd": shape.d_model,
        "n_layer": shape.layers,
        "n_head": shape.heads,
        "n_inner": shape.d_ff,
        "activation_function": GELU[0],
        "layer_norm_epsilon": 1e-5,
        "scale_attn_weights": true,
        "scale_attn_by_inverse_layer_idx": false,
        "reorder_and_upcast_attn": false,
        "tie_word_embeddings": shape.tied,
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "initializer_range": 0.02,
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
        "torch_dtype": "float32",
        "use_cache": true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        vocab_size: 101,
        context: 13,
        d_model: 24,
        heads: 3,
        layers: 2,
        d_ff: 52,
        tied: false,
        scalar_head: false,
    };

    #[test]
    fn what_is_described_is_understood() {
        assert_eq!(shape(&describe(&SHAPE, Some(0)).to_string()), Ok(SHAPE));
        let original = shape("{\"model_type\": \"gpt2\"}").unwrap();
        assert_eq!(
            (original.vocab_size, original.d_model, original.d_ff),
            (50_257, 768, 3072)
        );
        assert!(original.tied);
    }

    #[test]
    fn what_is_computed_otherwise_is_refused_by_its_key() {
        let wrong = [
            ("model_type", json!("gpt_neo")),
            ("model_type", Value::Null),
            ("activation_function", json!("gelu")),
            ("activation_function", json!(3)),
            ("layer_norm_epsilon", json!(1e-6)),
            ("scale_attn_weights", json!(false)),
            ("scale_attn_by_inverse_layer_idx", json!(true)),
            ("add_cross_attention", json!(true)),
            ("tie_word_embeddings", json!("yes")),
            ("quantization_config", json!({"bits": 4})),
            ("pruned_heads", json!({"0": [1]})),
            ("n_embd", json!(-24)),
            ("n_embd", json!(24.5)),
            ("n_layer", json!(0)),
            ("n_inner", json!(1_u64 << 60)),
            ("n_positions", json!("13")),
        ];
        for (key, value) in wrong {
            let mut config = describe(&SHAPE, None);
            config[key] = value.clone();
            let error = shape(&config.to_string()).unwrap_err();
            assert!(error.contains(key), "{key} = {value}: {error}");
        }
        let mut config = describe(&SHAPE, None);
        config["n_head"] = json!(5);
        assert!(shape(&config.to_string()).unwrap_err().contains("5 heads"));
        let twice = r#"{"model_type": "gpt2", "n_layer": 1, "n_layer": 2}"#;
        assert!(
            shape(twice)
                .unwrap_err()
                .contains("`n_layer` is there twice")
        );
        for text in ["", "[]", "{", "null"] {
            assert!(shape(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_changes_nothing_is_let_pass() {
        let mut config = describe(&SHAPE, None);
        config["activation_function"] = json!("gelu_pytorch_tanh");
        config["attn_pdrop"] = json!(0.1);
        config["pruned_heads"] = json!({});
        config["reorder_and_upcast_attn"] = json!(true);
        config["task_specific_params"] = json!({"text-generation": {"max_length": 50}});
        assert_eq!(shape(&config.to_string()), Ok(SHAPE));
    }
}
