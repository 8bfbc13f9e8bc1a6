//! Plain words for the reasons why a step is not faster, which are parts of metrics' names: `training.CASE.lost.REASON.tN.share_of_step`.

/// The reason as people read it: `gemm_below_peak` is `gemm below peak`.
pub fn reason(name: &str) -> String {
    match name {
        "stolen" => "stolen by other guests of the host".into(),
        "displaced" => "displaced by other programs".into(),
        other => other.replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_words() {
        assert_eq!(reason("gemm_below_peak"), "gemm below peak");
        assert_eq!(reason("displaced"), "displaced by other programs");
        assert!(reason("stolen").contains("guests"));
    }
}
