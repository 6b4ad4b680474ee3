//! The published shapes that a student can take by name.

use super::{BertConfig, Family};

/// A published shape.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// What the user types.
    pub name: &'static str,
    /// The body.
    pub family: Family,
    /// L.
    pub num_hidden_layers: usize,
    /// H.
    pub hidden_size: usize,
    /// A.
    pub num_attention_heads: usize,
    /// I.
    pub intermediate_size: usize,
    /// Where the shape comes from.
    pub source: &'static str,
}

const TURC: &str = "Turc et al. 2019";
const TINYBERT: &str = "Jiao et al. 2020";
const MINILM: &str = "Wang et al. 2020";

/// The shapes that a student can take by name, smallest first.
pub const PRESETS: &[Preset] = &[
    preset("bert-tiny", [2, 128, 2, 512], TURC),
    preset("bert-mini", [4, 256, 4, 1024], TURC),
    preset("tinybert-4l-312", [4, 312, 12, 1200], TINYBERT),
    preset("minilm-l6-384", [6, 384, 12, 1536], MINILM),
    preset("bert-small", [4, 512, 8, 2048], TURC),
    preset("minilm-l12-384", [12, 384, 12, 1536], MINILM),
    preset("bert-medium", [8, 512, 8, 2048], TURC),
    Preset {
        family: Family::DistilBert,
        ..preset("distilbert-6l-768", [6, 768, 12, 3072], "Sanh et al. 2019")
    },
    preset("tinybert-6l-768", [6, 768, 12, 3072], TINYBERT),
    preset("bert-base", [12, 768, 12, 3072], "Devlin et al. 2019"),
];

const fn preset(name: &'static str, [l, h, a, i]: [usize; 4], source: &'static str) -> Preset {
    Preset {
        name,
        family: Family::Bert,
        num_hidden_layers: l,
        hidden_size: h,
        num_attention_heads: a,
        intermediate_size: i,
        source,
    }
}

impl Preset {
    /// Returns the preset called `name`.
    pub fn named(name: &str) -> Option<&'static Preset> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// Returns the configuration of this shape for a vocabulary and a set of labels.
    pub fn config(&self, vocab_size: usize, labels: Vec<String>) -> BertConfig {
        let segments = BertConfig::default().type_vocab_size;
        BertConfig {
            architectures: vec![self.family.classifier().into()],
            model_type: self.family,
            type_vocab_size: if self.family.has_segments() { segments } else { 0 },
            vocab_size,
            num_hidden_layers: self.num_hidden_layers,
            hidden_size: self.hidden_size,
            num_attention_heads: self.num_attention_heads,
            intermediate_size: self.intermediate_size,
            labels,
            ..BertConfig::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Architecture;
    use crate::bert::Bert;

    #[test]
    fn presets_have_their_published_parameter_counts() {
        let expected = [
            ("bert-tiny", 4_385_920),
            ("bert-mini", 11_170_560),
            ("tinybert-4l-312", 14_350_248),
            ("minilm-l6-384", 22_713_216),
            ("bert-small", 28_763_648),
            ("minilm-l12-384", 33_360_000),
            ("bert-medium", 41_373_184),
            ("distilbert-6l-768", 66_362_880 + 768 * 768 + 768),
            ("tinybert-6l-768", 66_955_008),
            ("bert-base", 109_482_240),
        ];
        assert_eq!(PRESETS.len(), expected.len());
        for (name, parameters) in expected {
            let preset = Preset::named(name).unwrap();
            let bert = Bert::new(preset.config(30_522, vec!["a".into(), "b".into()])).unwrap();
            let classifier = 2 * preset.hidden_size + 2;
            assert_eq!(bert.layout().num_parameters() - classifier, parameters, "{name}");
        }
    }
}
