//! What is counted: how often a model is right, and which classes it takes for which.

/// How often each class is predicted, is there, and both. The counts may be weights.
///
/// Ratios that are not defined within F1 and Matthews' correlation are 0, as in scikit-learn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    right: Vec<f64>,
    predicted: Vec<f64>,
    gold: Vec<f64>,
}

impl Counts {
    /// Returns counts of nothing.
    pub fn zeros(classes: usize) -> Self {
        let zeros = || vec![0.0; classes];
        Counts { right: zeros(), predicted: zeros(), gold: zeros() }
    }

    /// Counts rows. Shapes: `[B]`, `[B]`.
    pub fn of(predicted: &[usize], gold: &[usize]) -> Self {
        assert_eq!(predicted.len(), gold.len(), "one prediction is needed for each label");
        let classes = predicted.iter().chain(gold).max().map_or(0, |class| class + 1);
        let mut counts = Counts::zeros(classes);
        predicted.iter().zip(gold).for_each(|(&predicted, &gold)| counts.add(predicted, gold, 1.0));
        counts
    }

    /// Counts a row, `weight` times.
    pub fn add(&mut self, predicted: usize, gold: usize, weight: f64) {
        self.predicted[predicted] += weight;
        self.gold[gold] += weight;
        if predicted == gold {
            self.right[gold] += weight;
        }
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> f64 {
        self.gold.iter().sum()
    }

    /// Returns the fraction of rows that is right. `None` on no rows.
    pub fn accuracy(&self) -> Option<f64> {
        let rows = self.rows();
        (rows > 0.0).then(|| self.right.iter().sum::<f64>() / rows)
    }

    /// Returns F1 of one class, `2 tp / (2 tp + fp + fn)`; 0 if it is neither predicted nor there. `None` on no rows.
    pub fn f1(&self, class: usize) -> Option<f64> {
        (self.rows() > 0.0).then(|| {
            let of = |counts: &[f64]| counts.get(class).copied().unwrap_or(0.0);
            // tp + fp are the predicted ones, tp + fn those that are there.
            let all = of(&self.predicted) + of(&self.gold);
            if all == 0.0 { 0.0 } else { 2.0 * of(&self.right) / all }
        })
    }

    /// Returns the mean F1 over the classes that are predicted or there. `None` on no rows.
    pub fn macro_f1(&self) -> Option<f64> {
        let occurs = |class: &usize| self.predicted[*class] + self.gold[*class] > 0.0;
        let (sum, classes) = (0..self.gold.len())
            .filter(occurs)
            .filter_map(|class| self.f1(class))
            .fold((0.0, 0.0), |(sum, classes), f1| (sum + f1, classes + 1.0));
        (classes > 0.0).then(|| sum / classes)
    }

    /// Returns F1 of all classes counted together. `None` on no rows.
    ///
    /// Where every row has one class and one prediction, each mistake is a false positive and a false negative, so that
    /// this is the accuracy.
    pub fn micro_f1(&self) -> Option<f64> {
        self.accuracy()
    }

    /// Returns Matthews' correlation coefficient, for any number of classes. `None` on no rows.
    ///
    /// `(c B − Σ_k p_k g_k) / √((B² − Σ p_k²) (B² − Σ g_k²))`, with `c` rows right and `p_k`, `g_k` rows predicted and
    /// labelled `k` (Gorodkin 2004, equation 8). It is 0 if either is all one class.
    pub fn matthews(&self) -> Option<f64> {
        let rows = self.rows();
        let right: f64 = self.right.iter().sum();
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let spread = (rows * rows - dot(&self.predicted, &self.predicted))
            * (rows * rows - dot(&self.gold, &self.gold));
        (rows > 0.0).then(|| match spread == 0.0 {
            true => 0.0,
            false => (right * rows - dot(&self.predicted, &self.gold)) / spread.sqrt(),
        })
    }
}
