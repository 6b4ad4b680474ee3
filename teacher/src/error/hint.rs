//! What to do about each error.

use super::Error;

impl Error {
    /// Returns what to do about the error, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::NoSuchModel { .. } | Error::NoModelInFolder { .. } => {
                "give an ONNX file, or a folder made by `optimum-cli export onnx --model MODEL \
                 --task text-classification FOLDER`"
                    .into()
            }
            Error::BadConfig { .. } => {
                "mend the file, or move it away: without `config.json` nothing is checked against it".into()
            }
            Error::BadModel { .. } | Error::BrokenOnnx { .. } => {
                "the file may be cut short, a Git LFS pointer, or without its external data; copy or export it again"
                    .into()
            }
            Error::ExternalDataOutside { .. } => "move the data beside the model and export it again".into(),
            Error::MissingInput { role, .. } => {
                format!("name the inputs in the recipe, e.g. `[teacher] {role} = \"NAME\"`")
            }
            Error::UnknownInput { .. } => {
                "export the model with token inputs only: `input_ids`, `attention_mask`, `token_type_ids`".into()
            }
            Error::UnusableTensor { .. } => {
                "export with dynamic axes for batch and sequence, int64 or int32 inputs and a float output".into()
            }
            Error::NotAClassifier { .. } => {
                "a teacher needs a sequence classification head; if one of these outputs is it, name it in the \
                 recipe, e.g. `[teacher] logits = \"NAME\"`"
                    .into()
            }
            Error::NotAMaskedLm { .. } => {
                "a masked language model is exported by `optimum-cli export onnx --model MODEL --task fill-mask FOLDER`"
                    .into()
            }
            Error::AmbiguousLogits { .. } | Error::MissingOutput { .. } => {
                "name the output in the recipe, e.g. `[teacher] logits = \"NAME\"`".into()
            }
            Error::ClassCountMismatch { .. } => "the two files belong to different models".into(),
            Error::TokenOutsideVocabulary { .. } => {
                "the tokenizer is not this model's; use the `tokenizer.json` that came with it".into()
            }
            Error::SequenceTooLong { limit, .. } => format!("truncate to {limit} tokens (`[data] max_length = {limit}`)"),
            Error::OutsideEmbedding { .. } => {
                "the tokenizer is not this model's, or a text is longer than the model allows; a `config.json` \
                 beside the model lets both be checked beforehand"
                    .into()
            }
            Error::NoSuchLayer { .. } => "`distill inspect MODEL` lists the layers and what each tells".into(),
            Error::NoTap { instead, .. } if instead.is_empty() => {
                "export the model again without fusing its nodes, e.g. with `optimum-cli export onnx --model MODEL \
                 FOLDER`; `distill inspect MODEL` shows what was recognised"
                    .into()
            }
            Error::NoTap { instead, .. } => {
                format!("ask for what it tells ({}), or take an export that computes every token and fuses no nodes", instead.join("; "))
            }
            Error::NotFinite { .. } | Error::TapNotFinite { .. } => {
                "the model overflows on this text; a float16 model may need its float32 export".into()
            }
            Error::RuntimeNotFound { .. } | Error::NoPython { .. } => three_ways_out(),
            Error::RuntimeUnusable { .. } => {
                "name the file of ONNX Runtime 1.18 or newer (`libonnxruntime.so.*`, `libonnxruntime.*.dylib`, \
                 `onnxruntime.dll`), or unset the name to have it searched for"
                    .into()
            }
            Error::RuntimeAlreadyLoaded { .. } => "use one library for the whole process".into(),
            Error::Pip { .. } => {
                "pip's own settings are honoured: `PIP_INDEX_URL` for a mirror, `PIP_PROXY`, `PIP_CERT`, or \
                 `PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER` for files you already have"
                    .into()
            }
            Error::HashMismatch { .. } => "the download was cut short or altered; try again".into(),
            Error::NoCacheFolder { .. } => "set `DISTILL_CACHE` to a folder that may be written".into(),
            Error::Read { .. }
            | Error::Write { .. }
            | Error::EmptySequence { .. }
            | Error::TokenTypeCount { .. }
            | Error::Inference { .. }
            | Error::LogitsShape { .. }
            | Error::TapShape { .. }
            | Error::BadArchive { .. } => return None,
        };
        Some(hint)
    }
}

fn three_ways_out() -> String {
    "one of these is enough:\n\
     - `pip install onnxruntime` in the active Python\n\
     - set `ORT_DYLIB_PATH` to a library you have (ONNX Runtime 1.18 or newer), or put it beside the executable\n\
     - put its wheel in a folder and set `PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER`"
        .into()
}
