//! The `config.json` of a folder in Hugging Face's layout.

use std::fs;

use loopos::model::Shape;
use loopos::train::hugging_face::Model;

use super::{SHAPE, Target, folder, weights};

pub(super) const TARGET: Target = Target {
    name: "hugging_face_config",
    run,
    seeds,
    slack: 2 << 20,
};

/// The description of the model of [`SHAPE`], as transformers writes it and with no more than is needed.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let whole = serde_json::json!({
        "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1, "bos_token_id": 4,
        "eos_token_id": 4, "layer_norm_epsilon": 1e-5, "model_type": "gpt2", "n_ctx": SHAPE.context, "n_embd": SHAPE.d_model,
        "n_head": SHAPE.heads, "n_inner": SHAPE.d_ff, "n_layer": SHAPE.layers, "n_positions": SHAPE.context,
        "quantization_config": null, "reorder_and_upcast_attn": false, "scale_attn_by_inverse_layer_idx": false,
        "scale_attn_weights": true, "add_cross_attention": false, "pruned_heads": {}, "tie_word_embeddings": true,
        "vocab_size": SHAPE.vocab_size
    });
    let least = serde_json::json!({
        "model_type": "gpt2", "n_embd": SHAPE.d_model, "n_head": SHAPE.heads, "n_inner": SHAPE.d_ff, "n_layer": SHAPE.layers,
        "n_positions": SHAPE.context, "vocab_size": SHAPE.vocab_size
    });
    [whole, least]
        .map(|seed| seed.to_string().into_bytes())
        .into()
}

fn run(data: &[u8]) {
    let path = folder().join("described");
    if !path.exists() {
        fs::create_dir(&path).expect("a temporary folder");
        fs::write(path.join("model.safetensors"), weights()).expect("a file in a temporary folder");
    }
    fs::write(path.join("config.json"), data).expect("a file in a temporary folder");
    if let Ok(model) = Model::open(&path) {
        // The weights do not tell how many heads share the width.
        let heads = model.shape.heads;
        assert!(SHAPE.d_model.is_multiple_of(heads));
        assert_eq!(model.shape, Shape { heads, ..SHAPE });
    }
}
