//! What can go wrong with a teacher: each variant is a fact, each hint a way out.

use std::path::PathBuf;

/// Everything this crate can fail with.
///
/// `Display` says what was expected, what was found and where; [`Error::hint`] says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read.
    #[error("cannot read `{}`: {source}", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file or folder could not be written.
    #[error("cannot write `{}`: {source}", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Neither a model file nor a folder is at the path.
    #[error("there is no model at `{}`", .path.display())]
    NoSuchModel {
        /// The path as given.
        path: PathBuf,
    },
    /// The folder holds no ONNX file under the usual names.
    #[error("`{}` holds no ONNX model; looked for {}", .folder.display(), quoted(.looked_for))]
    NoModelInFolder {
        /// The folder searched.
        folder: PathBuf,
        /// The names looked for, relative to the folder.
        looked_for: Vec<String>,
    },
    /// `config.json` is not JSON, or contradicts itself.
    #[error("`{}`: {reason}", .path.display())]
    BadConfig {
        /// The configuration file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// ONNX Runtime refused the model file.
    #[error("ONNX Runtime cannot load `{}`: {reason}", .path.display())]
    BadModel {
        /// The model file.
        path: PathBuf,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// The protobuf structure of the model file is broken.
    #[error("`{}` is not a readable ONNX file: {reason}", .path.display())]
    BrokenOnnx {
        /// The model file.
        path: PathBuf,
        /// What is wrong, and at which byte.
        reason: String,
    },
    /// The graph keeps weights in a file outside its own folder.
    #[error("`{}` refers to external data at `{location}`, outside its own folder", .path.display())]
    ExternalDataOutside {
        /// The model file.
        path: PathBuf,
        /// The location it names.
        location: String,
    },

    /// The graph lacks an input that is needed.
    #[error("{graph} has no input named `{name}`; it has {found}")]
    MissingInput {
        /// The file name of the graph.
        graph: String,
        /// The role that is not filled, which is also its usual name.
        role: &'static str,
        /// The name looked for: the usual one or the one the caller gave.
        name: String,
        /// The inputs it has, with element types and shapes.
        found: String,
    },
    /// The graph wants an input that we do not know how to fill.
    #[error(
        "{graph} wants an input `{name}`, which is none of input ids, attention mask, token types, positions; \
             it has {found}"
    )]
    UnknownInput {
        /// The file name of the graph.
        graph: String,
        /// The input that nothing is known to fill.
        name: String,
        /// The inputs it has, with element types and shapes.
        found: String,
    },
    /// An input or output exists but cannot be used in its role.
    #[error("{graph} has {what}, but {expected} is needed")]
    UnusableTensor {
        /// The file name of the graph.
        graph: String,
        /// The tensor with its element type and shape.
        what: String,
        /// What would do.
        expected: String,
    },
    /// No output is a classifier's.
    #[error("{graph} has no classifier output (float [batch, classes]); it has {found}")]
    NotAClassifier {
        /// The file name of the graph.
        graph: String,
        /// The outputs it has, with element types and shapes.
        found: String,
    },
    /// Several outputs could be the logits.
    #[error("{graph} has several outputs that may be logits: {candidates}")]
    AmbiguousLogits {
        /// The file name of the graph.
        graph: String,
        /// The candidates, with element types and shapes.
        candidates: String,
    },
    /// The output named by the caller does not exist.
    #[error("{graph} has no output named `{name}`; it has {found}")]
    MissingOutput {
        /// The file name of the graph.
        graph: String,
        /// The name asked for.
        name: String,
        /// The outputs it has, with element types and shapes.
        found: String,
    },
    /// `config.json` and the graph disagree about the number of classes.
    #[error("`config.json` speaks of {config} labels, but {graph} returns {found} logits for each sequence")]
    ClassCountMismatch {
        /// The file name of the graph.
        graph: String,
        /// Labels according to `config.json`.
        config: usize,
        /// Columns of the logits.
        found: usize,
    },

    /// A sequence has no tokens.
    #[error("sequence {sequence} has no tokens")]
    EmptySequence {
        /// Index of the sequence, from 0.
        sequence: usize,
    },
    /// A sequence has not as many token types as tokens.
    #[error("sequence {sequence} has {ids} token ids but {type_ids} token types")]
    TokenTypeCount {
        /// Index of the sequence, from 0.
        sequence: usize,
        /// Number of token ids.
        ids: usize,
        /// Number of token types.
        type_ids: usize,
    },
    /// A token id lies outside the model's vocabulary.
    #[error(
        "sequence {sequence} has token id {id}, but the vocabulary of `{model}` has {vocab_size} entries"
    )]
    TokenOutsideVocabulary {
        /// Index of the sequence, from 0.
        sequence: usize,
        /// The offending token id.
        id: u32,
        /// Entries of the vocabulary.
        vocab_size: usize,
        /// The model.
        model: String,
    },
    /// A sequence is longer than the model has positions.
    #[error("sequence {sequence} has {tokens} tokens, but `{model}` takes at most {limit}")]
    SequenceTooLong {
        /// Index of the sequence, from 0.
        sequence: usize,
        /// Number of its tokens, special ones included.
        tokens: usize,
        /// The longest the model takes.
        limit: usize,
        /// The model.
        model: String,
    },
    /// ONNX Runtime looked up an id or a position that an embedding table does not have.
    #[error("a token id, token type or position lies outside an embedding table of `{model}`: {reason}")]
    OutsideEmbedding {
        /// The model.
        model: String,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// ONNX Runtime failed while running the graph.
    #[error("ONNX Runtime failed on {rows} sequences of at most {tokens} tokens with `{model}`: {reason}")]
    Inference {
        /// The model.
        model: String,
        /// Sequences in the batch.
        rows: usize,
        /// Tokens of the longest of them.
        tokens: usize,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// The logits came back in another shape than one row for each sequence.
    #[error("`{model}` returned logits of shape {found:?} for {rows} sequences")]
    LogitsShape {
        /// The model.
        model: String,
        /// Sequences in the batch.
        rows: usize,
        /// The shape that came back.
        found: Vec<usize>,
    },
    /// A logit is NaN or infinite.
    #[error("`{model}` returned the logit `{value}` for sequence {sequence}, class {class}")]
    NotFinite {
        /// The model.
        model: String,
        /// Index of the sequence, from 0.
        sequence: usize,
        /// Index of the class, from 0.
        class: usize,
        /// The value.
        value: f32,
    },

    /// The graph has not as many layers.
    #[error("{graph} has no {signal}: {layers} layers were recognised{}", .ending.as_ref().map_or(String::new(), |ending| format!("; then {ending}")))]
    NoSuchLayer {
        /// The file name of the graph.
        graph: String,
        /// What was asked for, e.g. `hidden state 7`.
        signal: String,
        /// The layers recognised.
        layers: usize,
        /// Why there are no more, where something stands behind the last.
        ending: Option<String>,
    },
    /// The graph computes no such tensor, or hides it.
    #[error("{graph} does not tell {signal}: {reason}")]
    NoTap {
        /// The file name of the graph.
        graph: String,
        /// What was asked for, e.g. `queries in layer 2`.
        signal: String,
        /// Where it has gone.
        reason: String,
        /// What the graph tells instead.
        instead: Vec<String>,
    },
    /// A tensor inside the graph came back in a shape that does not belong to it.
    #[error("`{model}` returned `{tensor}` of shape {found:?}, but {expected} is needed")]
    TapShape {
        /// The model.
        model: String,
        /// The tensor.
        tensor: String,
        /// The shape that came back.
        found: Vec<usize>,
        /// What would do.
        expected: String,
    },
    /// A tensor inside the graph holds NaN or an infinity.
    #[error("`{model}` computed `{value}` in `{tensor}` for sequence {sequence}")]
    TapNotFinite {
        /// The model.
        model: String,
        /// The tensor.
        tensor: String,
        /// Index of the sequence, from 0.
        sequence: usize,
        /// The value.
        value: f32,
    },

    /// No ONNX Runtime library was found, and none could be fetched.
    #[error("no ONNX Runtime library was found or could be fetched; tried{}", bulleted(.attempts))]
    RuntimeNotFound {
        /// Each place tried and what it said.
        attempts: Vec<String>,
    },
    /// The library that was named, or found, cannot be used.
    #[error("the ONNX Runtime library `{}` ({origin}) cannot be used: {reason}", .path.display())]
    RuntimeUnusable {
        /// The library.
        path: PathBuf,
        /// Who named it, in words.
        origin: String,
        /// Why it will not do.
        reason: String,
    },
    /// Another library is already in use by this process.
    #[error("this process already uses the ONNX Runtime library `{}`, not `{}`", .loaded.display(), .wanted.display())]
    RuntimeAlreadyLoaded {
        /// The library in use.
        loaded: PathBuf,
        /// The library now asked for.
        wanted: PathBuf,
    },
    /// No Python interpreter could be started.
    #[error("no Python could be started: {}", .attempts.join("; "))]
    NoPython {
        /// Each program tried and what it said.
        attempts: Vec<String>,
    },
    /// `pip download` failed.
    #[error("`{program} -m pip download` of `{requirement}` failed: {reason}")]
    Pip {
        /// The Python interpreter.
        program: String,
        /// What was asked for.
        requirement: String,
        /// The last lines it printed.
        reason: String,
    },
    /// A downloaded file is not the pinned one.
    #[error("`{}` has SHA-256 `{found}`, but `{expected}` is pinned", .path.display())]
    HashMismatch {
        /// The file.
        path: PathBuf,
        /// The pinned hash, in hex.
        expected: String,
        /// The hash found, in hex.
        found: String,
    },
    /// A downloaded archive cannot be opened or lacks the file wanted from it.
    #[error("`{}`: {reason}", .path.display())]
    BadArchive {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is nowhere to keep downloaded files.
    #[error("there is no cache folder: none of {} is set", quoted(.variables))]
    NoCacheFolder {
        /// The environment variables looked at.
        variables: Vec<String>,
    },
}

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

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn bulleted(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n- {}", line.replace('\n', "\n  "))).collect()
}
