//! The model card: what stands in the `README.md` beside a shipped model.
//!
//! It says what was measured and where the model comes from, both taken from what this program wrote into the files
//! itself. Of a model that somebody else made little is known, and the card says so.

use crate::report::aligned;
use crate::vocabulary::Trimmed;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// What a card is written from.
#[derive(Clone, Debug)]
pub struct Card<'a> {
    /// What the model is called: the name of its folder.
    pub name: &'a str,
    /// The ONNX files, relative to the folder, the one that is used by default first.
    pub files: &'a [String],
    /// The figures of the files: a row of titles, and one for each file. Empty when nothing was measured.
    pub figures: &'a [Vec<String>],
    /// What was measured on, in a sentence. Empty when nothing was measured.
    pub measured_on: &'a str,
    /// The classes in the order of the logits.
    pub labels: &'a [String],
    /// The notes in the graph, which tell where a model of ours comes from.
    pub notes: &'a BTreeMap<String, String>,
    /// What was trimmed of its vocabulary.
    pub trimmed: Option<&'a Trimmed>,
    /// The ONNX files alone, or weights to train on as well.
    pub weights: Weights,
}

/// Whether there are weights beside the graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// `model.safetensors`.
    Safetensors,
    /// None.
    GraphsOnly,
}

/// The fingerprints that notes hold, and what they are of.
const SOURCES: [(&str, &str); 3] = [
    ("teacher_sha256", "the teacher's ONNX file"),
    ("train_sha256", "the file it was trained on"),
    ("eval_sha256", "the file it was chosen on"),
];

impl Card<'_> {
    /// Returns the text of the card.
    pub fn to_markdown(&self) -> String {
        let parts = [
            self.front_matter(),
            self.opening(),
            self.measured(),
            self.vocabulary(),
            self.origin(),
            self.usage(),
        ];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join("\n")
    }

    fn front_matter(&self) -> String {
        let library = match self.weights {
            Weights::Safetensors => "transformers",
            Weights::GraphsOnly => "onnx",
        };
        let mut text =
            String::from("---\n# license: choose one; the teacher's and the data's count as well\n");
        match self.teacher() {
            Some(teacher) => {
                let _ = writeln!(text, "# base_model: the id of the teacher, here called {}", yaml(&teacher));
            }
            None => text.push_str("# base_model: not known\n"),
        }
        let _ = writeln!(text, "library_name: {library}\npipeline_tag: text-classification");
        text.push_str("tags:\n- onnx\n- text-classification\n");
        if self.is_distilled() {
            text.push_str("- distillation\n");
        }
        if self.files.len() > 1 {
            text.push_str("- quantized\n");
        }
        text + "---\n"
    }

    fn opening(&self) -> String {
        let kind =
            if self.is_distilled() { "A student, distilled by `distill`" } else { "A text classifier" };
        let labels: Vec<String> = self.labels.iter().map(|label| format!("`{}`", inline(label))).collect();
        let classes = match labels.len() {
            0 => String::new(),
            1 => "It gives one number.\n".to_owned(),
            _ => format!("Its logits are those of {}, in this order.\n", labels.join(", ")),
        };
        format!("# {}\n\n{kind}.\n{classes}", inline(self.name))
    }

    fn measured(&self) -> String {
        let Some((titles, rows)) = self.figures.split_first() else {
            return "## Figures\n\nNothing was measured when these files were written.\n".to_owned();
        };
        let line = |row: &Vec<String>| {
            let cells: Vec<String> = row.iter().map(|cell| inline(cell)).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let rule = format!("|{}\n", "---|".repeat(titles.len()));
        let table: String = rows.iter().map(line).collect();
        format!("## Figures\n\n{}\n\n{}{rule}{table}", self.measured_on, line(titles))
    }

    fn vocabulary(&self) -> String {
        let Some(trimmed) = self.trimmed else { return String::new() };
        format!(
            "## Vocabulary\n\n{} of {} word pieces are left: the {} that the {} texts of a corpus need (SHA-256 `{}`), and \
             every single character.\nEvery text of the corpus has the same pieces as before; the logits of {} texts, which \
             hold {} of the pieces, are the same to the last bit.\nOther texts may be cut into smaller pieces than before.\n",
            trimmed.pieces_after,
            trimmed.pieces_before,
            trimmed.pieces_of_corpus,
            trimmed.texts,
            trimmed.sha256,
            trimmed.texts_compared,
            trimmed.pieces_compared,
        )
    }

    fn origin(&self) -> String {
        let known = SOURCES.iter().filter_map(|(key, what)| {
            Some(vec![(*what).to_owned(), format!("SHA-256 {}", self.notes.get(*key)?)])
        });
        let mut rows: Vec<Vec<String>> = known.collect();
        if let Some(teacher) = self.teacher() {
            rows.insert(0, vec!["the teacher's name where it lay".to_owned(), teacher]);
        }
        if let Some(steps) = self.notes.get("steps") {
            rows.push(vec!["updates".to_owned(), steps.clone()]);
        }
        let mut text = "## Where it comes from\n\n".to_owned();
        if rows.is_empty() {
            return text + "Nothing is known of its training: the file that it was made from does not say.\n";
        }
        let _ = writeln!(text, "```text\n{}\n```", fenced(&aligned(&rows)));
        if let Some(recipe) = self.notes.get("recipe") {
            let _ = writeln!(text, "\nThe recipe:\n\n```toml\n{}\n```", fenced(recipe.trim_end()));
        }
        text
    }

    fn usage(&self) -> String {
        let name = inline(self.name);
        let mut text = "## Use it\n\n```python\n".to_owned();
        if self.weights == Weights::Safetensors {
            let _ = writeln!(
                text,
                "from transformers import pipeline\npipeline(\"text-classification\", \"{name}\")(\"a text\")\n"
            );
        }
        text.push_str("from optimum.onnxruntime import ORTModelForSequenceClassification\n");
        for file in self.files {
            let file = Path::new(file).file_name().unwrap_or_default().to_string_lossy();
            let _ = writeln!(
                text,
                "ORTModelForSequenceClassification.from_pretrained(\"{name}\", file_name=\"{file}\")"
            );
        }
        text.push_str("```\n\n```js\nimport { pipeline } from '@huggingface/transformers';\n");
        for dtype in self.files.iter().filter_map(|file| dtype_of(file)) {
            let _ = writeln!(
                text,
                "await (await pipeline('text-classification', '{name}', {{ dtype: '{dtype}' }}))('a text');"
            );
        }
        text + "```\n"
    }

    fn is_distilled(&self) -> bool {
        self.notes.contains_key("teacher_sha256")
    }

    /// Returns the last part of the path under which the recipe has the teacher.
    fn teacher(&self) -> Option<String> {
        let recipe: toml::Table = self.notes.get("recipe")?.parse().ok()?;
        let path = recipe.get("teacher")?.get("path")?.as_str()?;
        Some(Path::new(path).file_name()?.to_string_lossy().into_owned())
    }
}

/// Returns what transformers.js calls the number format of a file.
fn dtype_of(file: &str) -> Option<&'static str> {
    let name = Path::new(file).file_name()?.to_str()?;
    match name {
        "model.onnx" => Some("fp32"),
        "model_fp16.onnx" => Some("fp16"),
        "model_quantized.onnx" => Some("q8"),
        "model_int8.onnx" => Some("int8"),
        "model_q4.onnx" => Some("q4"),
        _ => None,
    }
}

/// Returns text that cannot leave its line or cell: names and labels come from files that nobody vouches for.
fn inline(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '|' | '`' | '<' | '>' | '"' | '\'' | '\\' => '·',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect()
}

fn yaml(text: &str) -> String {
    format!("\"{}\"", inline(text))
}

/// Returns text that cannot end the fence around it.
fn fenced(text: &str) -> String {
    text.replace("```", "ˋˋˋ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    fn card<'a>(
        files: &'a [String],
        notes: &'a BTreeMap<String, String>,
        figures: &'a [Vec<String>],
    ) -> Card<'a> {
        Card {
            name: "student",
            files,
            figures,
            measured_on: "872 texts.",
            labels: &[],
            notes,
            trimmed: None,
            weights: Weights::Safetensors,
        }
    }

    #[test]
    fn a_student_says_what_it_was_made_from() {
        let notes = [
            ("recipe", "[teacher]\npath = \"/home/me/big\"\n"),
            ("teacher_sha256", "aa"),
            ("train_sha256", "bb"),
            ("steps", "12"),
        ];
        let notes = notes.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let files = strings(&["onnx/model.onnx", "onnx/model_quantized.onnx"]);
        let figures = [strings(&["file", "MB"]), strings(&["onnx/model.onnx", "9.0"])];
        let text = card(&files, &notes, &figures).to_markdown();
        for expected in [
            "---\n# license: choose one",
            "here called \"big\"",
            "- distillation\n- quantized\n---\n",
            "| file | MB |\n|---|---|\n| onnx/model.onnx | 9.0 |\n",
            "the teacher's ONNX file          SHA-256 aa\n",
            "the file it was trained on       SHA-256 bb\n",
            "```toml\n[teacher]\npath = \"/home/me/big\"\n```",
            "file_name=\"model_quantized.onnx\"",
            "{ dtype: 'q8' }",
        ] {
            assert!(text.contains(expected), "{expected}\n\n{text}");
        }
    }

    #[test]
    fn of_a_foreign_model_it_says_that_nothing_is_known() {
        let (files, notes) = (strings(&["onnx/model.onnx"]), BTreeMap::new());
        let text = Card { weights: Weights::GraphsOnly, ..card(&files, &notes, &[]) }.to_markdown();
        for expected in ["base_model: not known", "Nothing is known of its training", "Nothing was measured"]
        {
            assert!(text.contains(expected), "{expected}\n\n{text}");
        }
        assert!(!text.contains("distil") && !text.contains("transformers import"), "{text}");
    }

    #[test]
    fn hostile_names_stay_in_their_place() {
        let notes = [("recipe", "```\n# gone"), ("teacher_sha256", "x\n```\n# out")];
        let notes = notes.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let files = strings(&["onnx/model.onnx"]);
        let labels = strings(&["a`|<script>", "b\n# title"]);
        let text = Card { name: "x\n---\n", labels: &labels, ..card(&files, &notes, &[]) }.to_markdown();
        assert_eq!(
            text.matches("\n# ").count(),
            5,
            "two in the front matter, the title, two in fences\n{text}"
        );
        assert!(!text.contains('<') && text.matches("```").count().is_multiple_of(2), "{text}");
    }
}
