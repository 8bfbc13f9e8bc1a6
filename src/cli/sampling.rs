//! How the next token is chosen, as arguments of the commands that generate.

use super::outcome::Failure;
use crate::model::Sampling;

/// Arguments for choosing tokens and for ending a text.
#[derive(clap::Args, Debug)]
pub(crate) struct SamplingArguments {
    /// Below 1 safer, above 1 wilder; 0 always takes the likeliest token
    #[arg(long, value_name = "T", default_value_t = 0.8, value_parser = temperature)]
    pub(crate) temperature: f32,
    /// Choose among the K likeliest tokens only
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    top_k: Option<u32>,
    /// Choose among the likeliest tokens that share this much of the probability
    #[arg(long, value_name = "P", value_parser = share)]
    top_p: Option<f32>,
    /// Make tokens that the text has already less likely: 1 changes nothing, 1.2 is usual
    #[arg(long, value_name = "R", default_value_t = 1.0, value_parser = penalty)]
    repetition_penalty: f32,
    /// Seed of the choices
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub(crate) seed: u64,
    /// End the text before this string; may be repeated
    #[arg(long = "stop", value_name = "TEXT")]
    pub(crate) stops: Vec<String>,
    /// End the text before the token of this id; may be repeated [default: the end of text, where there is one]
    #[arg(long = "stop-token", value_name = "ID")]
    stop_tokens: Vec<u32>,
}

impl SamplingArguments {
    /// The settings, with another seed for each text.
    pub(crate) fn settings(&self, text: u64) -> Sampling {
        Sampling {
            repetition_penalty: self.repetition_penalty,
            temperature: self.temperature,
            top_k: self.top_k.unwrap_or(0) as usize,
            top_p: self.top_p.unwrap_or(1.0),
            seed: self.seed.wrapping_add(text),
        }
    }

    /// The tokens that end a text.
    ///
    /// # Errors
    /// When the model does not know one of them, or a stop is empty.
    pub(crate) fn stop_tokens(
        &self,
        vocab_size: usize,
        end_of_text: Option<u32>,
    ) -> Result<Vec<u32>, Failure> {
        if self.stops.iter().any(String::is_empty) {
            return Err(Failure::wrong_use("--stop: an empty text ends nothing"));
        }
        if let Some(id) = self
            .stop_tokens
            .iter()
            .find(|id| **id as usize >= vocab_size)
        {
            let most = vocab_size.saturating_sub(1);
            let what = format!("--stop-token {id}: the model knows the ids 0 to {most}");
            return Err(Failure::wrong_use(what));
        }
        Ok(self
            .stop_tokens
            .iter()
            .copied()
            .chain(end_of_text)
            .collect())
    }
}

/// 0 or more.
pub(crate) fn temperature(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err("must be 0 or more".to_owned())
    }
}

fn penalty(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value.is_finite() && value > 0.0 {
        Ok(value)
    } else {
        Err("must be above 0".to_owned())
    }
}

fn share(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value > 0.0 && value <= 1.0 {
        Ok(value)
    } else {
        Err("must be above 0 and at most 1".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_refused() {
        assert!(
            temperature("-0.1").is_err()
                && temperature("inf").is_err()
                && temperature("nan").is_err()
        );
        assert!(share("0").is_err() && share("1.01").is_err() && share("x").is_err());
        assert!(penalty("0").is_err() && penalty("inf").is_err() && penalty("1.2").is_ok());
        assert_eq!((temperature("0"), share("1")), (Ok(0.0), Ok(1.0)));
    }
}
