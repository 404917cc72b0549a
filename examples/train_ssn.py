"""Train a Stochastic Segmentation Network on the encoder of a model, for `flowkit evaluate --ssn`.

    python examples/train_ssn.py binarize ssn.safetensors --data dibco/2009 bickley --steps 1500
    flowkit evaluate binarize --data dibco/2018 --samples 16 --ssn ssn.safetensors

Without --data, pages are drawn. The encoder stays as it is; --train-encoder trains it, too.
"""

import argparse

from flowkit import load
from flowkit.checkpoint import trained_on
from flowkit.data import Task, training_set
from flowkit.degradations import degradations_from
from flowkit.evaluation.ssn_baseline import save_ssn, train_ssn

DRAWN = {"type": "drawn", "width": 800, "height": 800}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a binary flow: a name or a checkpoint")
    parser.add_argument("out", help="the file to write")
    parser.add_argument("--data", nargs="+", default=[DRAWN], help="folders or data files of pages")
    parser.add_argument("--degrade", default="light", help="a preset of degradations")
    parser.add_argument("--train-encoder", action="store_true")
    for name, default in (("steps", 1500), ("batch", 2), ("patch", 448), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()

    flow = load(args.model)
    flow.encoder.requires_grad_(args.train_encoder)
    data = training_set(
        args.data,
        task=Task.of(flow),
        patch=args.patch,
        seed=args.seed,
        length=args.steps * args.batch,
        degrade=degradations_from(args.degrade),
    )
    pairs = (data[i] for i in range(len(data)))

    def report(step: int, loss: float) -> None:
        if step % 50 == 0 or step == args.steps:
            print(f"step {step}: {loss:.4f} nats per pixel", flush=True)

    head = train_ssn(flow.encoder, pairs, args.steps, batch=args.batch, seed=args.seed, report=report)
    assert flow.recipe is not None  # of a checkpoint
    save_ssn(
        args.out, flow.encoder, head, recipe=flow.recipe, pages=data.fingerprints | trained_on(args.model)
    )


if __name__ == "__main__":
    main()
