//! A teacher that is asked while a student learns: what goes on inside it, or which words it thinks likely.

use crate::blueprint::Blueprint;
use crate::commands::material::Shelf;
use crate::error::explained;
use crate::examples::Examples;
use crate::insight::{Insight, Kept, Request, Shape, look};
use crate::measure::Closeness;
use crate::objective::{Loss, Objective, Sizes};
use crate::recipe::Recipe;
use crate::tokens::Tokenizer;
use anyhow::Result;
use teacher::{Taps, Teacher};

/// A teacher that is asked while a student learns.
pub(super) struct Alongside {
    /// Its sizes, where its layers are compared with the student's.
    pub sizes: Option<Sizes>,
    /// Whom to ask.
    pub insight: Insight,
}

impl Alongside {
    /// Sets a teacher to answer what the objective asks: each time anew, or once about all texts, where its answers are to be
    /// kept. `texts`: to train on and to evaluate on; the last is the number of the student's words.
    ///
    /// # Errors
    /// When the teacher cannot be asked, or its answers cannot be kept.
    pub fn new(
        mut teacher: Teacher,
        sizes: Option<Sizes>,
        objective: &Objective,
        texts: [&Examples; 2],
        (recipe, shelf, vocabulary): (&Recipe, &Shelf<'_>, usize),
    ) -> Result<Self> {
        let asked = &objective.comparison().teacher;
        let taps =
            Taps { hidden: asked.hidden.clone(), scores: asked.scores.clone(), qkv: asked.qkv.clone() };
        teacher.tap(&taps)?;
        let insight = match (recipe.teacher.cache_inside, sizes, objective.words_of_teacher()) {
            (true, ..) if objective.predicts_words() => {
                return Err(explained(
                    "the inside of the teacher cannot be kept: other words are masked in each epoch",
                    "leave `--cache-inside` out, or keep it in another stage: `--set STAGE.teacher.cache_inside=true`",
                ));
            }
            (true, Some(sizes), _) => kept(teacher, objective, sizes, texts, (recipe, shelf))?,
            (_, _, Some(words)) => Insight::of_masked_lm(teacher, words, vocabulary),
            _ => Insight::of(teacher),
        };
        Ok(Alongside { sizes, insight })
    }
}

/// Returns the objective of a recipe; where the teacher's sizes are known, with the layers of the student laid beside its own.
///
/// # Errors
/// When they cannot be compared as the recipe says.
pub(super) fn compared(recipe: &Recipe, blueprint: &Blueprint, teacher: Option<Sizes>) -> Result<Objective> {
    let objective = recipe.objective.objective()?;
    let Some(teacher) = teacher else { return Ok(objective) };
    let config = blueprint.bert.config();
    let student = Sizes {
        layers: config.num_hidden_layers,
        hidden: config.hidden_size,
        heads: config.num_attention_heads,
    };
    objective.between(&recipe.objective.layers, student, teacher)
}

/// Returns the names of the terms that are so.
fn named(objective: &Objective, are: impl Fn(Loss) -> bool) -> String {
    let losses = objective.terms().iter().map(|term| term.loss);
    losses.filter(|&loss| are(loss)).map(Loss::name).collect::<Vec<_>>().join("`, `")
}

/// Refuses to compare token by token where student and teacher read other tokens.
///
/// # Errors
/// When they do.
pub(super) fn check_tokens(objective: &Objective, [its, students]: [&Tokenizer; 2]) -> Result<()> {
    if !objective.compares_tokens() || its.encodes_like(students) {
        return Ok(());
    }
    let why = match its.fingerprint() == students.fingerprint() {
        true => {
            format!(
                "cuts texts after {} tokens, its teacher after {}",
                students.max_length(),
                its.max_length()
            )
        }
        false => "has another tokenizer than its teacher".to_owned(),
    };
    Err(explained(
        format!(
            "`{}` compares token by token, but the student {why}",
            named(objective, Loss::compares_tokens)
        ),
        "give the student its teacher's tokenizer and the same `--max-length`; with others `kl`, `logit_mse`, \
         `cross_entropy` and `label_mse` can be learnt, which compare whole texts",
    ))
}

/// Returns the sizes of a teacher whose inside is compared.
///
/// # Errors
/// When its graph does not tell.
pub(super) fn sizes_inside(teacher: &Teacher, objective: &Objective) -> Result<Sizes> {
    let anatomy = teacher.anatomy()?;
    let (Some(hidden), Some(heads)) = (anatomy.hidden_size, anatomy.num_heads) else {
        return Err(explained(
            format!(
                "`{}` compares what goes on inside the teacher, but its graph does not say how wide it is",
                named(objective, Loss::looks_inside)
            ),
            "look at what `distill inspect` finds in it; export the teacher anew without fusing its nodes",
        ));
    };
    Ok(Sizes { layers: anatomy.layers.len(), hidden, heads })
}

/// Asks a teacher about the texts to train on and to evaluate on, and keeps its answers.
fn kept(
    mut teacher: Teacher,
    objective: &Objective,
    sizes: Sizes,
    [train, eval]: [&Examples; 2],
    (recipe, shelf): (&Recipe, &Shelf<'_>),
) -> Result<Insight> {
    let asked = &objective.comparison().teacher;
    let fingerprint = teacher.fingerprint()?.to_owned();
    let request = Request {
        texts: &[(train, (0..train.len()).collect()), (eval, Closeness::texts(eval).collect())],
        shape: Shape { asked: asked.clone(), hidden: sizes.hidden, heads: sizes.heads },
        teacher: &fingerprint,
        batch_tokens: recipe.teacher.batch_tokens,
        folder: &shelf.folder,
        console: shelf.console,
    };
    let kept = Kept::open(&request, &mut |batch, progress| look(&mut teacher, batch, progress))?;
    Ok(Insight::of_kept(kept))
}
