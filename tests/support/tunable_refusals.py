"""What mlbot.yaml must not say of tunable parameters."""

from tests.support.config_texts import RUN, Case

TUNABLE = [
    *(
        Case(RUN, f"run: make\nparams: p.yaml\ntunable: {value}", f"8: models.m.train.tunable{wrong}", schema)
        for value, wrong, schema in (
            ("{}", ": found a mapping → write a mapping from the name of each parameter", True),
            ("[depth]", ": found a list → write a mapping from the name of each parameter", True),
            ('{"a b": {type: bool}}', '."a b": found the parameter "a b" → write a name of letters', False),
            ("{a: 3}", ".a: found 3 → write {type: float, min: 0, max: 1}, or a list of choices", True),
            ("{a: {min: 1, max: 2}}", ".a: found no type → write `type:`", True),
            ("{a: {type: integer}}", '.a.type: found "integer" → write int', True),
            ("{a: {type: int, min: 1}}", ".a: found no max → write both bounds", False),
            ("{a: {type: float}}", ".a: found no min and max → write both bounds", False),
            ("{a: {type: int, min: 1.5, max: 2}}", ".a.min: found 1.5 → write a whole number", False),
            ("{a: {type: float, min: x, max: 2}}", '.a.min: found "x" → write a number', True),
            ("{a: {type: int, min: 3, max: 2}}", ".a.max: found 2 → write at least 3, the min", False),
            ("{a: {type: bool, min: 0}}", ".a.min: found 0 → write no bounds; a bool has none", False),
            ("{a: {type: int, min: 1, max: 2, step: 1}}", '.a.step: found the unknown key "step" → write ', True),
            ("{a: []}", ".a: found an empty list → write a list of values", True),
            ("{a: [1, '1']}", '.a[1]: found "1" again → write each once', False),
            ("{a: [true, [1]]}", ".a[1]: found a list → write a number, true, false, or a word", True),
            ("{a: [' x']}", '.a[0]: found " x" → write a number, true, false, or a word', False),
        )
    ),
    Case(
        RUN, "run: make\ntunable: {a: {type: bool}}", "7: models.m.train.tunable: found no params → write", schema=False
    ),
]
