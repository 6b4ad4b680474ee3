use super::*;
use crate::error::hint_of;
use proptest::prelude::*;

/// [PAD] [UNK] [CLS] [SEP] [MASK] and pieces, of which those above 60 go on with a word.
const SIZE: usize = 100;
const SPECIAL: usize = 5;
const MASK_ID: u32 = 4;
const FIRST_CONTINUING: usize = 60;
const MOMENT: Moment = Moment { seed: 7, epoch: 0 };

fn inventory() -> Inventory {
    Inventory {
        size: SIZE,
        mask_id: Some(MASK_ID),
        unknown_id: Some(1),
        special: (0..SIZE).map(|id| id < SPECIAL).collect(),
        continues: Some((0..SIZE).map(|id| id >= FIRST_CONTINUING).collect()),
    }
}

fn masker(masking: Masking) -> Masker {
    Masker::new(masking, inventory()).unwrap()
}

fn of_choice(choice: Choice) -> Masker {
    masker(Masking { choice, ..Masking::default() })
}

/// A batch of `rows` sequences of `length` tokens: [CLS], random pieces, [SEP].
fn batch(rows: usize, length: usize) -> (Vec<u32>, Vec<usize>, Vec<usize>) {
    let mut draws = Draws::new(&[99, length as u64]);
    let mut ids = Vec::with_capacity(rows * length);
    for _ in 0..rows {
        ids.push(2);
        ids.extend((2..length).map(|_| (SPECIAL + draws.below(SIZE - SPECIAL)) as u32));
        ids.push(3);
    }
    (ids, (0..=rows).map(|row| row * length).collect(), (0..rows).collect())
}

/// Makes sure that counts are those of a multinomial draw with these shares: of `X² = Σ (n - e)² / e` the mean is the number
/// of cells less one, and the standard deviation the root of twice that.
fn check_shares(what: &str, counts: &[u64], shares: &[f64]) {
    let total = counts.iter().sum::<u64>() as f64;
    let cells = counts.iter().zip(shares);
    let chi_squared: f64 =
        cells.map(|(&count, share)| (count as f64 - total * share).powi(2) / (total * share)).sum();
    let freedom = (counts.len() - 1) as f64;
    assert!(chi_squared < freedom + 5.0 * (2.0 * freedom).sqrt(), "{what}: {chi_squared} of {freedom}");
}

#[test]
fn chosen_tokens_are_15_percent_of_a_million_evenly_spread_and_split_80_10_10() {
    let (ids, offsets, rows) = batch(10_000, 128);
    let masked = of_choice(Choice::Pieces).mask(&ids, &offsets, &rows, MOMENT);
    assert!(ids.len() > 1_000_000);
    assert_eq!(masked.positions.len(), 10_000 * 19, "round(0.15 x 128) of each");
    assert!(masked.positions.is_sorted());
    let mut places = vec![0; 128];
    masked.positions.iter().for_each(|position| places[position % 128] += 1);
    assert_eq!((places[0], places[127]), (0, 0), "special tokens are never chosen");
    check_shares("places", &places[1..127], &[1.0 / 126.0; 126]);

    let (mut fates, mut random) = ([0; 3], vec![0; SIZE]);
    for (&position, &target) in masked.positions.iter().zip(&masked.targets) {
        assert_eq!(ids[position], target);
        match masked.ids[position] {
            MASK_ID => fates[0] += 1,
            id if id == target => fates[1] += 1,
            id => {
                fates[2] += 1;
                random[id as usize] += 1;
            }
        }
    }
    // One in a hundred random tokens is the mask, and one the token itself.
    let one = 0.1 / SIZE as f64;
    check_shares("fates", &fates, &[0.8 + one, 0.1 + one, 0.1 - 2.0 * one]);
    random.remove(MASK_ID as usize);
    let special =
        1.0 / (SPECIAL as f64 - 1.0 + (SIZE - SPECIAL) as f64 * (1.0 - 1.0 / (SIZE - SPECIAL) as f64));
    let other = special * (1.0 - 1.0 / (SIZE - SPECIAL) as f64);
    let shares: Vec<f64> =
        (0..SIZE - 1).map(|cell| if cell < SPECIAL - 1 { special } else { other }).collect();
    check_shares("random tokens", &random, &shares);
    let untouched = (0..ids.len()).filter(|place| masked.positions.binary_search(place).is_err());
    assert!(untouched.into_iter().all(|place| masked.ids[place] == ids[place]));
}

#[test]
fn as_many_are_chosen_as_berts_code_chooses() {
    let count = |length: usize, masking: Masking| {
        let (ids, offsets, rows) = batch(1, length);
        masker(masking).mask(&ids, &offsets, &rows, MOMENT).positions.len()
    };
    // Python's round takes halves to even numbers: 1.5, 4.5 and 7.5.
    for (length, expected) in [(2, 0), (3, 1), (6, 1), (10, 2), (30, 4), (50, 8), (128, 19), (512, 77)] {
        assert_eq!(count(length, Masking::default()), expected, "{length}");
    }
    assert_eq!(count(512, Masking { most: Some(20), ..Masking::default() }), 20);
    assert_eq!(count(12, Masking { share: 1.0, ..Masking::default() }), 10, "there are no more");
}

#[test]
fn whole_words_are_chosen_whole() {
    let (ids, offsets, rows) = batch(2000, 64);
    let masked = of_choice(Choice::Words).mask(&ids, &offsets, &rows, MOMENT);
    let is_chosen = |place: usize| masked.positions.binary_search(&place).is_ok();
    let mut longer = 0;
    for place in 1..ids.len() {
        let goes_on = ids[place] as usize >= FIRST_CONTINUING && ids[place - 1] as usize >= SPECIAL;
        if goes_on {
            assert_eq!(is_chosen(place), is_chosen(place - 1), "{place}");
            longer += usize::from(is_chosen(place));
        }
    }
    assert!(longer > 1000, "words of several pieces are chosen: {longer}");
    for row in 0..rows.len() {
        let chosen = (offsets[row]..offsets[row + 1]).filter(|&place| is_chosen(place)).count();
        assert!((1..=10).contains(&chosen), "{chosen}");
    }
    let share = masked.positions.len() as f64 / (2000.0 * 10.0);
    assert!(share > 0.97, "what long words leave is filled by short ones: {share}");
    let one_word = [2, 20, 70, 70, 70, 3];
    let none = of_choice(Choice::Words).mask(&one_word, &[0, 6], &[0], MOMENT);
    assert!(none.positions.is_empty(), "a word longer than what is to be chosen is passed over");
}

#[test]
fn rare_tokens_are_chosen_by_their_weight() {
    const ROWS: usize = 200_000;
    let counts: Vec<u64> = (0..SIZE as u64).map(|id| if id == 20 { 1000 } else { id % 3 * 5 }).collect();
    let (a, b) = (1000_f64.powf(-0.7), 5_f64.powf(-0.7));
    let ids: Vec<u32> = [2, 20, 22, 3].repeat(ROWS);
    let (offsets, rows): (Vec<_>, Vec<_>) = ((0..=ROWS).map(|row| 4 * row).collect(), (0..ROWS).collect());
    let rarity = Rarity::of(&counts, Rarity::POWER);
    assert_eq!(
        (rarity.weight(21), rarity.weight(9999)),
        (1.0, 1.0),
        "what was never seen weighs like what was once"
    );
    let masked = of_choice(Choice::Rare(rarity)).mask(&ids, &offsets, &rows, MOMENT);
    let first = masked.positions.iter().filter(|&place| place % 4 == 1).count() as u64;
    check_shares("rare", &[first, ROWS as u64 - first], &[a / (a + b), b / (a + b)]);
}

#[test]
fn the_mask_of_a_row_depends_on_seed_epoch_and_row_alone() {
    for choice in [Choice::Pieces, Choice::Words, Choice::Rare(Rarity::of(&[3; SIZE], 0.7))] {
        let masker = of_choice(choice);
        let (ids, offsets, rows) = batch(50, 40);
        let whole = masker.mask(&ids, &offsets, &rows, MOMENT);
        for row in [49, 0, 17] {
            let own = 40 * row..40 * (row + 1);
            let alone = masker.mask(&ids[own.clone()], &[0, 40], &[row], MOMENT);
            assert_eq!(alone.ids, whole.ids[own.clone()]);
            let positions: Vec<_> = whole.positions.iter().filter(|place| own.contains(place)).collect();
            assert!(positions.iter().map(|&&place| place - own.start).eq(alone.positions));
            for (row, moment) in
                [(row + 1, MOMENT), (row, Moment { epoch: 1, ..MOMENT }), (row, Moment { seed: 8, ..MOMENT })]
            {
                assert_ne!(masker.mask(&ids[own.clone()], &[0, 40], &[row], moment).ids, alone.ids);
            }
        }
    }
}

proptest! {
    #[test]
    fn no_special_token_is_ever_chosen_and_nothing_panics(
        ids in prop::collection::vec(prop_oneof![0..SIZE as u32, 0..5_u32, Just(100_000)], 1..40),
        seed: u64,
        share in 0.01_f64..1.0,
    ) {
        for choice in [Choice::Pieces, Choice::Words, Choice::Rare(Rarity::of(&[1; 50], 0.7))] {
            let masking = Masking { choice, share, ..Masking::default() };
            let masked = masker(masking).mask(&ids, &[0, ids.len()], &[3], Moment { seed, epoch: 2 });
            prop_assert!(masked.targets.iter().all(|&id| id as usize >= SPECIAL));
            prop_assert!(masked.positions.windows(2).all(|two| two[0] < two[1]));
        }
    }
}

#[test]
fn what_cannot_be_masked_is_refused() {
    let default = Masking::default();
    let without = |change: &dyn Fn(&mut Inventory)| {
        let mut inventory = inventory();
        change(&mut inventory);
        inventory
    };
    for (masking, inventory, expected) in [
        (default.clone(), without(&|it| it.mask_id = None), "no mask token"),
        (
            Masking { choice: Choice::Words, ..default.clone() },
            without(&|it| it.continues = None),
            "where a word begins",
        ),
        (Masking { share: 0.0, ..default.clone() }, inventory(), "are no shares"),
        (Masking { share: f64::NAN, ..default.clone() }, inventory(), "are no shares"),
        (Masking { kept: 0.3, ..default.clone() }, inventory(), "are no shares"),
    ] {
        let error = Masker::new(masking, inventory).err().unwrap();
        assert!(error.to_string().contains(expected) && hint_of(&error).is_some(), "{error}");
    }
}
