"""A run is one training in its folder; here its files are named, written and read.

`ul2q train --run` makes the folder, and `ul2q sweep` one for each of its runs:

| file | holds | module |
|---|---|---|
| log.csv | loss, learning rate and tests over the iterations | `log` |
| quantization.csv | how well the quantised blobs stand for their masters | `quantization_log` |
| solver.prototxt | the solver as it was run | `solver` |
| <prefix>_iter_N.solverstate, .caffemodel | the snapshot after N iterations | `snapshots` |
| <prefix>_iter_N.ranks | where each of several ranks stood then | `rank_states` |
| stop | made by a user to ask for the end; a run removes it | |
| <prefix>_best.caffemodel, .json | the weights of the best test, and what they reach | `best` |
| early_stop.json | where and why it ended before its max_iter | `early_stop` |
| .run.lock | who trains there | `lock` |
| run.json | how the run was trained, and what the sweep knows of it | `training_record`, `record` |
| README.md | the model card: which weights are there, what they reach | `model_card` |
| train_test.prototxt | the net as the sweep quantised it | `solver` |
| output.txt | what the run printed in the sweep | |

The sweep's own folder holds those of its runs, results.csv (the runs' records as a table),
sweep.yaml (the file of the last call) and the two files of `lock`.

`layout` has all names. `changes` tells in what a run that goes on is another than the one recorded,
`comparison` in what two runs differ, and `weights` which weights a run's folder stands for.
`metrics` tells which columns of log.csv are accuracies and losses, and `progress` how far a run is.
A log may be read while it grows, and a folder may be moved.
"""
