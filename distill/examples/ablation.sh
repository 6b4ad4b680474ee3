#!/bin/sh
# What each part of a recipe adds, on the same student, with the same start, batches and number of updates:
#   labels   labels alone                        logits   the teacher's logits alone
#   inside   TinyBERT's two stages, without its general stage
#   general  the same after a general stage on plain text (needs CORPUS)
#   augment  the same with COPIES of each text (needs CORPUS)
#
#   TEACHER=bert TRAIN=train.tsv DEV=dev.tsv TEST=test.tsv OUT=ablation ./ablation.sh
#
# TEST is what is reported; DEV chooses the step that is kept. Both default to the same file, which flatters all arms alike.
set -eu
: "${DISTILL:=distill}" "${TEACHER:?}" "${TRAIN:?}" "${DEV:?}" "${OUT:?}"
: "${TEST:=$DEV}" "${CORPUS:=}" "${TASK:=text}" "${STUDENT:=tinybert-4l-312}" "${ARMS:=labels logits inside}"
: "${SEEDS:=1 2 3}" "${STEPS:=1500}" "${INSIDE:=1000}" "${GENERAL:=1000}" "${PRECISION:=f32}" "${RATE:=3e-4}" "${COPIES:=5}"

mkdir -p "$OUT"
for arm in $ARMS; do
  for seed in $SEEDS; do
    run="$OUT/$arm-$seed"
    [ -f "$run/report.json" ] && continue
    rm -rf "$run"
    common="--teacher $TEACHER --eval $DEV --task $TASK --student $STUDENT --seed $seed --precision $PRECISION
      --cache $OUT/labels.safetensors --out $run"
    data="--data $TRAIN"
    stages="--set intermediate.train.max_steps=$INSIDE --set intermediate.train.learning_rate=$RATE
      --set prediction.train.max_steps=$((STEPS - INSIDE)) --set prediction.train.learning_rate=$RATE"
    case $arm in
      labels) "$DISTILL" train $common $data --max-steps "$STEPS" --lr "$RATE" --alpha 0 ;;
      logits) "$DISTILL" train $common $data --max-steps "$STEPS" --lr "$RATE" --alpha 1 --temperature 1 ;;
      inside) "$DISTILL" train $common $data --recipe tinybert-task $stages ;;
      general)
        "$DISTILL" train $common $data --recipe tinybert --corpus "$CORPUS" $stages --set augment.copies=0 \
          --set general.train.max_steps="$GENERAL" --set general.train.learning_rate="$RATE" ;;
      augment)
        "$DISTILL" train $common $data --recipe tinybert --corpus "$CORPUS" $stages --set augment.copies="$COPIES" \
          --set general.train.max_steps="$GENERAL" --set general.train.learning_rate="$RATE" ;;
      *) echo "there is no arm $arm" >&2; exit 2 ;;
    esac
  done
done

groups=""
for arm in $ARMS; do
  runs=$(for seed in $SEEDS; do printf '%s,' "$OUT/$arm-$seed"; done)
  groups="$groups --seeds-of $arm=${runs%,}"
done
"$DISTILL" compare --teacher "$TEACHER" $groups --data "$TEST" --task "$TASK" --out "$OUT/report"
