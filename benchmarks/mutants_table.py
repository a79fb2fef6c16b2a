"""The faults written down by hand: one wrong comparison, dropped check, swapped side or lost filter each.

Each is a fault that somebody would notice too late: a gate that lets a worse model pass, a waiver of a stranger's, a
version in production that nobody approved. `old` is a snippet of the source as it is; whoever rewrites it anchors the
mutant again, with the same fault.
"""

from benchmarks.mutants_source import Mutant

_VERDICT = (
    Mutant(
        name="verdict/fail-by-the-far-end",
        fault="A margin fails as soon as its interval touches it.",
        old="if least > margin:",
        new="if most > margin:",
    ),
    Mutant(
        name="verdict/pass-by-the-near-end",
        fault="A margin inside the interval passes.",
        old="if not most < margin:",
        new="if not least < margin:",
    ),
    Mutant(
        name="verdict/direction-forgotten",
        fault="A metric that should rise is judged as one that should fall.",
        old="sorted((direction.worse * look.low, direction.worse * look.high))",
        new="sorted((look.low, look.high))",
    ),
    Mutant(
        name="verdict/unknown-seed-variance-judged",
        fault="Two files of one seed decide about the recipe.",
        old="if look.method is Method.SEED_VARIANCE_UNKNOWN:",
        new="if False:",
    ),
    Mutant(
        name="verdict/identical-not-seen",
        fault="A model compared with itself is judged by an interval of zero width.",
        old="if look.method is Method.IDENTICAL:",
        new="if False:",
    ),
    Mutant(
        name="verdict/warning-gates-count",
        fault="A gate that only warns, or whose slice is too small, decides.",
        old="counted = [gate for gate in gates if gate.counts]",
        new="counted = list(gates)",
    ),
    Mutant(
        name="verdict/blocking-ignored",
        fault="`blocking: false` blocks.",
        old="counts = result.counts and gate.blocking and not gate.only_warns",
        new="counts = result.counts and not gate.only_warns",
    ),
    Mutant(
        name="verdict/small-slice-decides",
        fault="A slice with fewer rows than `min_rows` decides.",
        old="evidence.is_small(gate) and open_",
        new="False",
    ),
    Mutant(
        name="verdict/empty-slice-is-small",
        fault="An empty slice is shown as too small instead of as an error that blocks.",
        old="result.outcome in {Outcome.INCONCLUSIVE, Outcome.ERROR} and result.reason is not Reason.EMPTY_SLICE",
        new="result.outcome in {Outcome.INCONCLUSIVE, Outcome.ERROR}",
    ),
    Mutant(
        name="verdict/no-gates-is-undecided",
        fault="A model without gates is inconclusive, which may be set not to block.",
        old="""
        if not gates:
            return Outcome.ERROR, Reason.NO_GATES, None
        """,
        new="pass",
    ),
    Mutant(
        name="verdict/waived-looks-like-a-pass",
        fault="A verdict that rests on a waiver says that all gates pass.",
        old="Reason.WAIVED if any(gate.waived for gate in counted) else Reason.ALL_GATES_PASS",
        new="Reason.ALL_GATES_PASS",
    ),
    Mutant(
        name="verdict/deleted-model-passes",
        fault="Who deletes a model needs nobody's word.",
        old="(Outcome.PASS, Reason.WAIVED, None) if gone else (Outcome.FAIL, Reason.MODEL_DELETED, None)",
        new="(Outcome.PASS, Reason.WAIVED, None)",
    ),
    Mutant(
        name="verdict/crashed-seed-left-out",
        fault="A seed after the first that crashed is no error.",
        old="next((each.problem for each in evidence.candidate if each.problem), None)",
        new="evidence.candidate[0].problem",
    ),
    Mutant(
        name="verdict/training-failure-forgotten",
        fault="Why nothing could be evaluated is lost.",
        old="""
        if evidence.problem is not None:
            return evidence.problem
        """,
        new="pass",
    ),
    Mutant(
        name="verdict/no-baseline-passes",
        fault="A margin with nothing to compare with passes.",
        old="""
            case Reason.NO_BASELINE:
                outcome, counts = Outcome.INCONCLUSIVE, True
        """,
        new="""
            case Reason.NO_BASELINE:
                outcome, counts = Outcome.PASS, True
        """,
    ),
    Mutant(
        name="verdict/comparison-problem-ignored",
        fault="A comparison that could not be made says something else than its cause.",
        old="""
        if comparison.problem is not None:
            return _error(gate, comparison.problem)
        """,
        new="pass",
    ),
    Mutant(
        name="verdict/confident-swapped",
        fault="`confident` judges the point estimate, and what is not confident the interval.",
        old="(score.low, score.high) if by_interval else (score.value, score.value)",
        new="(score.value, score.value) if by_interval else (score.low, score.high)",
    ),
    Mutant(
        name="verdict/minimum-by-the-upper-end",
        fault="A minimum passes when the upper end of the interval keeps it.",
        old="(low >= gate.limit, high < gate.limit)",
        new="(high >= gate.limit, high < gate.limit)",
    ),
    Mutant(
        name="verdict/maximum-is-exclusive",
        fault="A figure that is just the maximum fails.",
        old="(high <= gate.limit, low > gate.limit)",
        new="(high < gate.limit, low >= gate.limit)",
    ),
    Mutant(
        name="verdict/bounds-swapped",
        fault="A minimum is judged as a maximum.",
        old="minimum = gate.bound is Bound.MIN",
        new="minimum = gate.bound is not Bound.MIN",
        within="_bounded",
    ),
    Mutant(
        name="verdict/missing-figure-passes",
        fault="A figure that was not measured passes.",
        old="if value is None or low is None or high is None:",
        new="""
        if value is None or low is None or high is None:
            return GateResult(gate=gate, outcome=Outcome.PASS, reason=Reason.WITHIN_LIMIT)
        if False:
        """,
    ),
    Mutant(
        name="verdict/megabytes-of-1024",
        fault="Sizes are 5 % smaller than they are.",
        old="_BYTES_PER_MB = 1_000_000",
        new="_BYTES_PER_MB = 1_048_576",
    ),
    Mutant(
        name="verdict/latency-of-the-other-percentile",
        fault="A gate on the 95th percentile judges the median.",
        old="return _bounded(gate, latency.p95_ms, (latency.p95_ms, latency.p95_ms))",
        new="return _bounded(gate, latency.p50_ms, (latency.p50_ms, latency.p50_ms))",
    ),
    Mutant(
        name="verdict/what-warns-blocks",
        fault="A gate that noise decides blocks.",
        old="counts = result.counts and gate.blocking and not gate.only_warns",
        new="counts = result.counts and gate.blocking",
    ),
    Mutant(
        name="verdict/flips-beside-no-family",
        fault="The gate on excess flips is left out of Holm's family.",
        old="return self.flips.excess if self.flips else None",
        new="return None",
    ),
    Mutant(
        name="verdict/digest-of-another-seed",
        fault="The verdict names other bytes than those that ship.",
        old="digest=evidence.candidate[0].digest if evidence.candidate else None",
        new="digest=evidence.candidate[-1].digest if evidence.candidate else None",
    ),
    Mutant(
        name="verdict/score-of-another-seed",
        fault="`min` and `max` judge the last seed, not the file that ships.",
        old="score = evidence.candidate[0].score(gate.metric, gate.slice)",
        new="score = evidence.candidate[-1].score(gate.metric, gate.slice)",
    ),
    Mutant(
        name="verdict/score-of-all-rows",
        fault="A gate on a slice judges all rows.",
        old="score = evidence.candidate[0].score(gate.metric, gate.slice)",
        new="score = evidence.candidate[0].score(gate.metric)",
    ),
    Mutant(
        name="verdict/undecided-over-fail",
        fault="A verdict with a failed gate and an undecided one is only inconclusive.",
        old="_PRECEDENCE = (Outcome.ERROR, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS)",
        new="_PRECEDENCE = (Outcome.ERROR, Outcome.INCONCLUSIVE, Outcome.FAIL, Outcome.PASS)",
    ),
    Mutant(
        name="verdict/nothing-is-a-pass",
        fault="An empty set of gates passes.",
        old="min(outcomes, key=_PRECEDENCE.index, default=Outcome.ERROR)",
        new="min(outcomes, key=_PRECEDENCE.index, default=Outcome.PASS)",
    ),
    Mutant(
        name="verdict/margin-judgeable",
        fault="A margin that these rows cannot judge is not named.",
        old="mde is None or mde <= JUDGEABLE * result.gate.limit",
        new="mde is None or mde <= 2 * JUDGEABLE * result.gate.limit",
    ),
    Mutant(
        name="holm/alpha-doubled",
        fault="One sound change in ten fails.",
        old="alpha: float = ALPHA",
        new="alpha: float = 2 * ALPHA",
        within="holm_rejects",
    ),
    Mutant(
        name="holm/bonferroni",
        fault="Holm's later steps are as strict as its first.",
        old="alpha / (len(p) - rank)",
        new="alpha / len(p)",
    ),
    Mutant(
        name="holm/does-not-stop",
        fault="A hypothesis after one that was kept is rejected.",
        old="""
        if not p[index] <= alpha / (len(p) - rank):
            break
        """,
        new="""
        if not p[index] <= alpha / (len(p) - rank):
            continue
        """,
    ),
    Mutant(
        name="holm/warning-gates-in-the-family",
        fault="A gate that only warns makes those that count harder to fail.",
        old="if result.gate.blocking and look is not None and look.p_value is not None",
        new="if look is not None and look.p_value is not None",
    ),
    Mutant(
        name="holm/fails-are-kept",
        fault="A margin that Holm drops fails all the same.",
        old="_dropped(result) if index in dropped else result",
        new="result",
    ),
)

_WAIVERS = (
    Mutant(
        name="waiver/errors-waived",
        fault="What could not be evaluated is waived.",
        old="WAIVABLE = frozenset({Outcome.FAIL, Outcome.INCONCLUSIVE})",
        new="WAIVABLE = frozenset({Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR})",
    ),
    Mutant(
        name="waiver/of-other-rules",
        fault="A waiver outlives the rules that it was given under.",
        old="(each.model, each.key, each.policy) == (model, key, policy)",
        new="(each.model, each.key) == (model, key)",
    ),
    Mutant(
        name="waiver/of-other-content",
        fault="A waiver outlives the content that it was given for.",
        old="(each.model, each.key, each.policy) == (model, key, policy)",
        new="(each.model, each.policy) == (model, policy)",
    ),
    Mutant(
        name="waiver/newest-of-several",
        fault="Of several waivers another person is named than who gave the first.",
        old="sorted(held, key=lambda each: each.order, reverse=True)",
        new="sorted(held, key=lambda each: each.order)",
    ),
    Mutant(
        name="waiver/of-a-warning",
        fault="A gate that nothing rests on is waived.",
        old="result.counts and (result.outcome in WAIVABLE or (result.outcome is Outcome.ERROR and looked_for))",
        new="result.outcome in WAIVABLE or (result.outcome is Outcome.ERROR and looked_for)",
    ),
    Mutant(
        name="waiver/own-pull-request",
        fault="Everybody waives gates of their own pull request.",
        old="(role in _MAINTAINERS or listed) and (rules.author or not own)",
        new="(role in _MAINTAINERS or listed)",
    ),
    Mutant(
        name="waiver/by-writers",
        fault="Who may only write waives.",
        old='_MAINTAINERS: frozenset[Role] = frozenset({"maintain", "admin"})',
        new='_MAINTAINERS: frozenset[Role] = frozenset({"write", "maintain", "admin"})',
    ),
    Mutant(
        name="waiver/login-in-other-letters",
        fault="An author waives their own gate by another spelling of their login.",
        old="own = author is not None and actor.lower() == author.lower()",
        new="own = author is not None and actor == author",
    ),
    Mutant(
        name="waiver/edited-comment",
        fault="A comment that was edited afterwards waives.",
        old="if Edits.NONE in edits:",
        new="if edits:",
    ),
    Mutant(
        name="waiver/of-another-author",
        fault="A waiver counts as somebody's whose comment says nothing of it.",
        old="for line in parse_comment(comment.body)] if comment.author == request.actor else []",
        new="for line in parse_comment(comment.body)]",
    ),
    Mutant(
        name="waiver/another-gate",
        fault="The bot's record waives another gate than the comment names.",
        old="isinstance(each, Waive) and (each.model, each.gate, each.reason) == asked",
        new="isinstance(each, Waive)",
    ),
    Mutant(
        name="waiver/right-not-asked-again",
        fault="Who lost the right to waive since then waives.",
        old="elif request.actor not in speakers:",
        new="elif False:",
    ),
    Mutant(
        name="waiver/of-another-head",
        fault="A waiver of an older commit holds for what was pushed since.",
        old="if request.sha != verdict.commits.head:",
        new="if False:",
    ),
    Mutant(
        name="waiver/bound-twice",
        fault="A request that the ledger knows is bound to today's content.",
        old="isinstance(each, WaiverRequest) and each.comment not in done",
        new="isinstance(each, WaiverRequest)",
    ),
    Mutant(
        name="waiver/every-gate-of-the-model",
        fault="A waiver of one gate waives whatever else blocks.",
        old="results = [result for result in model.gates if result.gate in gates]",
        new="results = list(model.gates)",
    ),
    Mutant(
        name="waiver/passing-gates-bound",
        fault="A waiver binds to gates that pass, and holds when they fail.",
        old="blocking = [result for result in results if may_be_waived(result)]",
        new="blocking = list(results)",
    ),
    Mutant(
        name="waiver/gates-not-in-the-rules",
        fault="A lower bound does not end a waiver.",
        old='"gates": sorted(each.model_dump_json() for each in model.gates),',
        new='"gates": [],',
    ),
    Mutant(
        name="waiver/holdout-not-in-the-rules",
        fault="Other rows do not end a waiver.",
        old='"holdout": holdout,',
        new='"holdout": "",',
        within="policy_digest",
    ),
    Mutant(
        name="waiver/code-not-in-the-rules",
        fault="Another metric's code does not end a waiver.",
        old='"code": tree.digest(code),',
        new='"code": "",',
    ),
    Mutant(
        name="waiver/of-another-pull-request",
        fault="A waiver that another pull request gave is recorded as this one's.",
        old="each for each in report.verdict.waivers if each.pull_request == number",
        new="each for each in report.verdict.waivers",
    ),
)

_ADMISSION = (
    Mutant(
        name="admission/another-repository",
        fault="A run of another repository is judged.",
        old="run.repository_id == policy.repository_id,",
        new="True,",
    ),
    Mutant(
        name="admission/another-workflow",
        fault="A workflow that a pull request brings along is judged as the training.",
        old="run.path == policy.train_path,",
        new="True,",
    ),
    Mutant(
        name="admission/another-event",
        fault="A run that an event with secrets started is judged.",
        old='run.event in {"pull_request", "merge_group", "push"},',
        new="True,",
    ),
    Mutant(
        name="admission/event-disagrees",
        fault="The event's word counts against the API's.",
        old="event_run is None or _is_same(event_run, run),",
        new="True,",
    ),
    Mutant(
        name="admission/newer-attempt",
        fault="An attempt that was replaced is judged.",
        old="if run.attempt > asked.number:",
        new="if False:",
    ),
    Mutant(
        name="admission/attempt-that-nobody-asked-for",
        fault="The judge waits for an attempt that nobody asked for.",
        old="run.id != asked.run or (run.attempt < asked.number and not reruns.asked(asked))",
        new="run.id != asked.run",
    ),
    Mutant(
        name="admission/closed-pull-request",
        fault="A closed pull request gets a status.",
        old="""
        if pull.open
        and pull.base_repository_id == policy.repository_id
        """,
        new="if pull.base_repository_id == policy.repository_id",
    ),
    Mutant(
        name="admission/pull-request-of-another-repository",
        fault="A pull request into a fork is taken for one into this repository.",
        old="if pull.open and pull.base_repository_id == policy.repository_id",
        new="if pull.open",
    ),
    Mutant(
        name="admission/same-commit-in-another-fork",
        fault="A fork's training is the verdict of somebody else's pull request with the same commit.",
        old="if (each.head_repository_id, each.head_branch) == source and each.conclusion is not Conclusion.SKIPPED",
        new="if each.conclusion is not Conclusion.SKIPPED",
    ),
    Mutant(
        name="admission/older-head",
        fault="The training of an older commit is the verdict of the head.",
        old="current = [pull for pull in ours if pull.head_sha == run.head_sha]",
        new="current = list(ours)",
    ),
    Mutant(
        name="admission/any-branch",
        fault="A pull request into a branch that nobody guards gets a status.",
        old="guarded = [pull for pull in current if policy.guards(pull.base_ref)]",
        new="guarded = list(current)",
    ),
    Mutant(
        name="admission/first-of-several",
        fault="Of several pull requests with one head one is chosen.",
        old="return tuple(map(decision.PullRequestSubject.of, found))",
        new="return tuple(map(decision.PullRequestSubject.of, found[:1]))",
    ),
    Mutant(
        name="admission/queue-of-any-branch",
        fault="A merge queue of a branch that nobody guards is judged.",
        old='if queue is None or not policy.guards(queue["base"]):',
        new="if queue is None:",
    ),
    Mutant(
        name="admission/push-from-a-fork",
        fault="A push whose commit is of another repository writes the ledger.",
        old="if run.head_repository_id != policy.repository_id:",
        new="if False:",
        within="_subject",
    ),
    Mutant(
        name="admission/cancelled-is-judged",
        fault="A cancelled training is judged by what it left.",
        old="finished = _FINISHED.get(run.conclusion)",
        new="finished = _FINISHED.get(run.conclusion) if run.conclusion is not Conclusion.CANCELLED else None",
    ),
    Mutant(
        name="admission/skipped-is-a-success",
        fault="A training that was skipped leaves a green status.",
        old="Cause.SKIPPED, State.ERROR",
        new="Cause.SKIPPED, State.SUCCESS",
        within="_Runs._untrained",
    ),
    Mutant(
        name="admission/unfinished-is-judged",
        fault="A run that is not over is judged.",
        old="(not run.completed or run.conclusion is None) and run.conclusion is not Conclusion.ACTION_REQUIRED",
        new="run.conclusion is None",
    ),
    Mutant(
        name="admission/trial-announced",
        fault="A trial's start moves the status.",
        old="if around.reruns.trial(run.this_attempt) is not None:",
        new="if False:",
    ),
    Mutant(
        name="guard/default-branch-too",
        fault="The default branch is guarded where `guard` names others only.",
        old="return self.guard or (self.default_branch,)",
        new="return (*self.guard, self.default_branch)",
    ),
    Mutant(
        name="guard/every-branch",
        fault="Every branch is guarded where `guard` is left out.",
        old="return self.entry_of(branch) is not None",
        new="return not self.guard or self.entry_of(branch) is not None",
    ),
    Mutant(
        name="attempts/first-attempt-a-trial",
        fault="A record makes a trial of the training that a push started.",
        old="if each.number == number and each.attempt.number > 1",
        new="if each.number == number",
    ),
    Mutant(
        name="attempts/of-another-pull-request",
        fault="A record of another pull request counts.",
        old="if each.number == number and each.attempt.number > 1",
        new="if each.attempt.number > 1",
    ),
    Mutant(
        name="attempts/trial-trained-the-model",
        fault="A trial's file is judged as the committed parameters'.",
        old="not request.trial and (not request.models or model in request.models)",
        new="(not request.models or model in request.models)",
    ),
    Mutant(
        name="attempts/left-alone-but-trained",
        fault="Files are looked for in an attempt that left the model alone.",
        old="not request.trial and (not request.models or model in request.models)",
        new="not request.trial",
    ),
    Mutant(
        name="attempts/trial-replaces-the-verdict",
        fault="A trial is the newest attempt that counts.",
        old="next(each for each in _downwards(latest) if self.trial(each) is None)",
        new="latest",
    ),
    Mutant(
        name="write/head-moved",
        fault="A verdict is written to a head that it is not about.",
        old="(now.number, now.head_sha, now.head_repository_id, now.base_ref) == wanted",
        new="(now.number, self.sha, now.head_repository_id, now.base_ref) == wanted",
    ),
    Mutant(
        name="write/head-of-another-fork",
        fault="A verdict is written to a pull request that comes from another repository now.",
        old="(now.number, now.head_sha, now.head_repository_id, now.base_ref) == wanted",
        new="(now.number, now.head_sha, self.head_repository_id, now.base_ref) == wanted",
    ),
    Mutant(
        name="write/another-base",
        fault="A verdict about one branch is written to a pull request into another.",
        old="(now.number, now.head_sha, now.head_repository_id, now.base_ref) == wanted",
        new="(now.number, now.head_sha, now.head_repository_id, self.branch) == wanted",
    ),
    Mutant(
        name="write/older-replaces-newer",
        fault="An older attempt's words replace a newer one's.",
        old="written is not None and written.order > operation.attempt.order",
        new="written is not None and written.order < operation.attempt.order",
    ),
)

_PLAN = (
    Mutant(
        name="key/lock-left-out",
        fault="Another environment lock makes nothing stale.",
        old='facts = {"form": _KEY_FORM, **dict(self)}',
        new='facts = {"form": _KEY_FORM, **dict(self), "lock": None}',
    ),
    Mutant(
        name="key/params-left-out",
        fault="Other parameters make nothing stale.",
        old='facts = {"form": _KEY_FORM, **dict(self)}',
        new='facts = {"form": _KEY_FORM, **dict(self), "params": None}',
    ),
    Mutant(
        name="key/data-left-out",
        fault="Other training data makes nothing stale.",
        old='facts = {"form": _KEY_FORM, **dict(self)}',
        new='facts = {"form": _KEY_FORM, **dict(self), "data": {}}',
    ),
    Mutant(
        name="key/trial-has-the-commit's",
        fault="A trial's file is taken for the commit's.",
        old='facts = {"form": _KEY_FORM, "key": key, "overrides": overrides}',
        new='facts = {"form": _KEY_FORM, "key": key}',
    ),
    Mutant(
        name="plan/holdout-in-the-key",
        fault="Another holdout makes every model stale whose `depends` has its folder.",
        old="frozenset({CONFIG_FILE}).union(*(self.tree.match(path) for path in holdouts))",
        new="frozenset({CONFIG_FILE})",
    ),
    Mutant(
        name="plan/config-in-the-key",
        fault="Every change of mlbot.yaml trains every model.",
        old="frozenset({CONFIG_FILE}).union(*(self.tree.match(path) for path in holdouts))",
        new="frozenset[str]().union(*(self.tree.match(path) for path in holdouts))",
    ),
    Mutant(
        name="plan/entrypoint-not-in-the-key",
        fault="A change of the function that trains makes nothing stale when `depends` leaves it out.",
        old="return own.union(*every)",
        new="return frozenset[str]().union(*every)",
    ),
    Mutant(
        name="plan/link-out-of-the-tree",
        fault="Data behind a link that leads out of the repository never changes.",
        old="return not found or self.tree.leads_out(found)",
        new="return not found",
    ),
    Mutant(
        name="plan/deletion-without-history",
        fault="Without a common history a deleted model is not seen.",
        old="before = base if base or commits.base else policy",
        new="before = base",
    ),
    Mutant(
        name="plan/deletion-of-what-others-added",
        fault="A model that the guarded branch got since then is taken for deleted.",
        old="before = base if base or commits.base else policy",
        new="before = policy",
    ),
    Mutant(
        name="plan/judged-key-is-stale",
        fault="The guarded branch judges again what it has judged.",
        old="return _settled(model)",
        new="return model",
    ),
    Mutant(
        name="plan/request-forgotten",
        fault="A model that somebody asked for is not trained.",
        old="""
        if requested and not why:
            why = (_REQUESTED,)
        """,
        new="pass",
    ),
    Mutant(
        name="plan/trial-deletes",
        fault="A trial of a pull request that deletes a model reports the deletion.",
        old='return self.model_copy(update={"models": models, "deleted": ()})',
        new='return self.model_copy(update={"models": models})',
    ),
    Mutant(
        name="plan/matrix-over-the-limit",
        fault="A matrix that GitHub refuses is written.",
        old="if len(filled) > MATRIX_LIMIT:",
        new="if False:",
    ),
    Mutant(
        name="plan/params-reason-lost",
        fault="A change of the params file is no reason.",
        old="if new.params != old.params:",
        new="if False:",
    ),
    Mutant(
        name="baseline/trial-against-the-guarded-branch",
        fault="A trial of a stale model is compared with the guarded branch's, not with head's own.",
        old="if model.base_key is None or (trial and not model.requested):",
        new="if model.base_key is None:",
    ),
    Mutant(
        name="baseline/failed-model-serves",
        fault="A model that failed is what the next one is compared with.",
        old="if each.outcome in USABLE and each.files:",
        new="if each.files:",
        within="BranchHistory._usable",
    ),
    Mutant(
        name="baseline/first-model-never-serves",
        fault="A first model, inconclusive for want of a baseline, is never compared with.",
        old="USABLE = {Outcome.PASS, Outcome.INCONCLUSIVE}",
        new="USABLE = {Outcome.PASS}",
    ),
    Mutant(
        name="baseline/without-files",
        fault="A verdict whose files nobody kept is chosen as the baseline.",
        old="if each.outcome in USABLE and each.files:",
        new="if each.outcome in USABLE:",
        within="BranchHistory._usable",
    ),
)

_DELIVERY = (
    Mutant(
        name="promotion/own-approval-counts",
        fault="Who asks for a promotion approves it.",
        old="each for each in self.approvers if each.casefold() != self.requester.casefold()",
        new="each for each in self.approvers",
    ),
    Mutant(
        name="promotion/own-approval-in-other-letters",
        fault="Who asks for a promotion approves it by another spelling of their login.",
        old="each for each in self.approvers if each.casefold() != self.requester.casefold()",
        new="each for each in self.approvers if each != self.requester",
    ),
    Mutant(
        name="promotion/one-approval-less",
        fault="One approval fewer than asked for is enough.",
        old="max(0, self.needed - len(self.counted))",
        new="max(0, self.needed - 1 - len(self.counted))",
    ),
    Mutant(
        name="promotion/other-bytes-before",
        fault="The environment before may serve other bytes.",
        old="after.live is None or after.live.digest != facts.released",
        new="after.live is None",
    ),
    Mutant(
        name="promotion/nothing-before",
        fault="A version enters production that staging never served.",
        old="yield PromotionReason.OUT_OF_ORDER, after.live is None or after.live.digest != facts.released",
        new="yield PromotionReason.OUT_OF_ORDER, False",
    ),
    Mutant(
        name="promotion/unhealthy-before",
        fault="A deployment that has not ended in the environment before does not matter.",
        old="yield PromotionReason.NOT_HEALTHY, after.under_way is not None",
        new="yield PromotionReason.NOT_HEALTHY, False",
    ),
    Mutant(
        name="promotion/locked",
        fault="A locked environment takes a promotion.",
        old="yield PromotionReason.LOCKED, facts.lock is not None",
        new="yield PromotionReason.LOCKED, False",
    ),
    Mutant(
        name="promotion/deprecated",
        fault="A deprecated version is promoted.",
        old="yield PromotionReason.DEPRECATED, facts.deprecated",
        new="yield PromotionReason.DEPRECATED, False",
    ),
    Mutant(
        name="promotion/under-way",
        fault="Two deployments into one environment at a time.",
        old='busy and not facts.resumes("promotion", facts.version)',
        new="False",
    ),
    Mutant(
        name="promotion/no-approvals-asked",
        fault="No approval is asked for.",
        old="yield PromotionReason.APPROVALS_MISSING, facts.missing > 0",
        new="yield PromotionReason.APPROVALS_MISSING, False",
    ),
    Mutant(
        name="promotion/drift-not-put-right",
        fault="A target that serves something else is left so.",
        old="facts.live == facts.goal and not busy and not facts.drifted",
        new="facts.live == facts.goal and not busy",
    ),
    Mutant(
        name="promotion/live-by-version-alone",
        fault="A version with other bytes is taken for the live one.",
        old="facts.live == facts.goal and not busy and not facts.drifted",
        new="facts.live is not None and facts.live.version == facts.version and not busy and not facts.drifted",
    ),
    Mutant(
        name="promotion/changed-bytes",
        fault="Bytes that are not those judged are deployed.",
        old="yield PromotionReason.BYTES_DIFFER, facts.stored is Stored.DIFFERS",
        new="yield PromotionReason.BYTES_DIFFER, False",
    ),
    Mutant(
        name="promotion/live-already-is-refused",
        fault="A version that is live already is a refusal.",
        old="decide(PromotionDecision, _promotion_checks(facts), go, (PromotionReason.ALREADY_LIVE,))",
        new="decide(PromotionDecision, _promotion_checks(facts), go)",
    ),
    Mutant(
        name="rollback/to-the-live-one",
        fault="A rollback goes to what is live.",
        old="at = -1 if self.under_way is not None else -2",
        new="at = -1",
    ),
    Mutant(
        name="rollback/one-too-far",
        fault="A rollback of a deployment that died goes back one version too far.",
        old="at = -1 if self.under_way is not None else -2",
        new="at = -2",
    ),
    Mutant(
        name="rollback/oldest-bytes-of-a-version",
        fault="Of a version that was live with two digests the older is taken.",
        old="next((each for each in reversed(self.once_live) if each.version == self.to), None)",
        new="next((each for each in self.once_live if each.version == self.to), None)",
    ),
    Mutant(
        name="rollback/without-a-reason",
        fault="A rollback needs no reason.",
        old="yield RollbackReason.NO_REASON, not facts.why.strip()",
        new="yield RollbackReason.NO_REASON, False",
    ),
    Mutant(
        name="rollback/changed-bytes",
        fault="A rollback deploys bytes that are not those released.",
        old="yield RollbackReason.BYTES_DIFFER, facts.stored is Stored.DIFFERS",
        new="yield RollbackReason.BYTES_DIFFER, False",
    ),
    Mutant(
        name="rollback/back-and-forth",
        fault="A second rollback goes to the version that the first one left.",
        old="del stack[len(stack) - stack[::-1].index(now) :]",
        new="stack.append(now)",
    ),
    Mutant(
        name="rollback/failed-version-is-good",
        fault="A deployment that failed is one to go back to.",
        old="""
        if entry.state == "succeeded":
            _apply(stack,
        """,
        new="""
        if True:
            _apply(stack,
        """,
    ),
    Mutant(
        name="release/not-merged",
        fault="A commit that is not on the guarded branch is released.",
        old="yield ReleaseReason.NOT_MERGED, not facts.merged",
        new="yield ReleaseReason.NOT_MERGED, False",
    ),
    Mutant(
        name="release/moved-tag",
        fault="A tag that was moved releases other bytes under a known version.",
        old="yield ReleaseReason.TAG_MOVED, released is not None and tag.commit != released.commit",
        new="yield ReleaseReason.TAG_MOVED, False",
    ),
    Mutant(
        name="release/tag-elsewhere",
        fault="A tag at another commit releases.",
        old="tag is not None and tag.commit != facts.commit",
        new="False",
    ),
    Mutant(
        name="release/failed-verdict",
        fault="A model that failed its gates is released.",
        old="return verdict.outcome is Outcome.PASS or (",
        new="return verdict.outcome in {Outcome.PASS, Outcome.FAIL} or (",
    ),
    Mutant(
        name="release/undecided-always",
        fault="An inconclusive verdict releases where the config blocks it.",
        old='lets_through = facts.inconclusive == "warn" and verdict.digest is not None',
        new="lets_through = verdict.digest is not None",
    ),
    Mutant(
        name="release/older-verdict",
        fault="The oldest verdict on a key decides.",
        old="return max(verdicts, key=lambda each: (each.order, each.outcome is not Outcome.PASS), default=None)",
        new="return min(verdicts, key=lambda each: (each.order, each.outcome is not Outcome.PASS), default=None)",
    ),
    Mutant(
        name="release/pass-wins-a-tie",
        fault="Of two verdicts that nothing orders the one that passes decides.",
        old="(each.order, each.outcome is not Outcome.PASS)",
        new="(each.order, each.outcome is Outcome.PASS)",
    ),
    Mutant(
        name="release/version-taken",
        fault="A version that exists with other bytes counts as released already.",
        old="facts.judged == released.digest or (facts.judged is None and released.commit == facts.commit)",
        new="True",
    ),
    Mutant(
        name="release/without-bytes",
        fault="A version is made of a verdict that judged no bytes.",
        old="facts.judged is None or facts.stored is Stored.MISSING",
        new="facts.stored is Stored.MISSING",
    ),
    Mutant(
        name="release/exempt-by-an-existing-one",
        fault="A version that exists already is a refusal.",
        old="done = (ReleaseReason.ALREADY_RELEASED,)",
        new="done = ()",
    ),
    Mutant(
        name="approval/twice-in-other-letters",
        fault="One person approves twice by two spellings of their login.",
        old="facts.actor.casefold() in before",
        new="facts.actor in facts.approvers",
    ),
    Mutant(
        name="approval/of-nothing",
        fault="A version that was never released is approved.",
        old="yield ApprovalReason.UNKNOWN_VERSION, facts.released is None",
        new="yield ApprovalReason.UNKNOWN_VERSION, False",
    ),
    Mutant(
        name="request/any-branch",
        fault="The release workflow follows a branch's own copy of itself.",
        old="(RequestReason.NOT_DEFAULT_BRANCH, not facts.on_default)",
        new="(RequestReason.NOT_DEFAULT_BRANCH, False)",
    ),
    Mutant(
        name="request/by-a-machine",
        fault="A workflow approves and rolls back.",
        old='facts.by_machine and do != "promote"',
        new="False",
    ),
    Mutant(
        name="request/edited-comment",
        fault="A comment that was edited afterwards deploys.",
        old="(RequestReason.EDITED, comment.edits is Edits.SOME)",
        new="(RequestReason.EDITED, False)",
    ),
    Mutant(
        name="request/role",
        fault="Whoever may read the repository promotes.",
        old="by_name and not is_enough(facts.role, command.role)",
        new="False",
    ),
    Mutant(
        name="request/comment-of-a-dispatcher",
        fault="Who starts the workflow for somebody's comment is the one who asks.",
        old='if "comment" in self.inputs:',
        new="if False:",
    ),
)

_LEDGER = (
    Mutant(
        name="ledger/time-identifies",
        fault="A retry a minute later is a second entry.",
        old="identity = hashlib.sha256(before + after).hexdigest()",
        new="identity = hashlib.sha256(raw).hexdigest()",
    ),
    Mutant(
        name="ledger/any-form",
        fault="A file with a key twice is an entry.",
        old="if canonical(entry) != raw:",
        new="if False:",
    ),
    Mutant(
        name="ledger/any-place",
        fault="An entry is read wherever somebody put it.",
        old="return entry if _path(entry, raw) == path else",
        new="return entry if True else",
    ),
    Mutant(
        name="ledger/any-length",
        fault="A file of any length is read.",
        old="if len(raw) > _MOST_BYTES:",
        new="if False:",
        within="_read",
    ),
    Mutant(
        name="ledger/later-fields",
        fault="Entries written before a field was there are refused.",
        old='"verdict": _OF_JUDGED,',
        new='"verdict": frozenset[str](),',
    ),
    Mutant(
        name="ledger/judge-not-in-the-order",
        fault="Which of two verdicts on one training is the later is left to chance.",
        old="return *self.attempt.order, *self.judge.order",
        new="return self.attempt.order",
        within="VerdictEntry.order",
    ),
    Mutant(
        name="ledger/unlock-wins-a-tie",
        fault="Where a lock and an unlock have one number the environment is open.",
        old="return self.sequence, int(self.locked), *_order(self.run)",
        new="return self.sequence, int(not self.locked), *_order(self.run)",
    ),
    Mutant(
        name="ledger/states-out-of-order",
        fault="A deployment that succeeded and was rolled back counts as live.",
        old='("started", "failed", "succeeded", "rolled-back")',
        new='("started", "failed", "rolled-back", "succeeded")',
    ),
    Mutant(
        name="ledger/first-verdict-counts",
        fault="The oldest verdict on a key is the one that counts.",
        old="return sorted(found, key=lambda entry: entry.order)",
        new="return sorted(found, key=lambda entry: entry.order, reverse=True)",
    ),
    Mutant(
        name="ledger/verdict-of-another-branch",
        fault="A verdict of another guarded branch is this one's.",
        old="isinstance(each, VerdictEntry) and branch in {None, each.branch}",
        new="isinstance(each, VerdictEntry)",
    ),
    Mutant(
        name="ledger/pass-of-other-bytes",
        fault="A pass lets other bytes be released.",
        old="yield ReleaseReason.BYTES_DIFFER, facts.stored is Stored.DIFFERS",
        new="yield ReleaseReason.BYTES_DIFFER, False",
    ),
    Mutant(
        name="ledger/history-of-another-holdout",
        fault="Seed variances of other rows are borrowed.",
        old="""
        if entry.model == model and entry.holdout == holdout and entry.key not in left_out
        """,
        new="if entry.model == model and entry.key not in left_out",
    ),
    Mutant(
        name="ledger/own-spread-is-history",
        fault="A candidate's own spread is the history that it is judged by.",
        old="""
        if entry.model == model and entry.holdout == holdout and entry.key not in left_out
        """,
        new="if entry.model == model and entry.holdout == holdout",
    ),
    Mutant(
        name="ledger/degrees-of-freedom",
        fault="The history is better known than it is.",
        old="df = sum(len(values) - 1 for values in latest.values())",
        new="df = sum(len(values) for values in latest.values())",
    ),
    Mutant(
        name="ledger/incomplete-seeds",
        fault="The seeds that have a value stand for those that have none.",
        old="return known if len(known) == len(of) else ()",
        new="return known",
    ),
    Mutant(
        name="ledger/version-released-again",
        fault="A later entry changes what a version is.",
        old="first.setdefault((entry.model, entry.version), entry)",
        new="first[entry.model, entry.version] = entry",
    ),
    Mutant(
        name="ledger/live-is-what-was-begun",
        fault="A deployment that did not succeed is live.",
        old='found = [each for each in deployments(entries, model, environment) if each.state == "succeeded"]',
        new="found = list(deployments(entries, model, environment))",
    ),
    Mutant(
        name="ledger/first-lock-counts",
        fault="An environment that was opened again stays closed.",
        old="return found[-1] if found and found[-1].locked else None",
        new="return found[0] if found and found[0].locked else None",
    ),
    Mutant(
        name="ledger/approval-of-other-bytes",
        fault="An approval of other bytes under the same version hides the one that counts.",
        old="first.setdefault((entry.actor.lower(), entry.digest), entry)",
        new="first.setdefault((entry.actor.lower(), ''), entry)",
    ),
    Mutant(
        name="ledger/trial-recorded",
        fault="A trial is a verdict of the guarded branch.",
        old="""
        if report.trial:
            return ()
        found = (
        """,
        new="""
        if False:
            return ()
        found = (
        """,
    ),
    Mutant(
        name="ledger/verdict-of-a-pull-request",
        fault="A pull request writes its verdict to the ledger.",
        old='isinstance(subject, PullRequestSubject) and entry.kind == "waiver"',
        new="isinstance(subject, PullRequestSubject)",
    ),
    Mutant(
        name="ledger/files-of-refused-seeds",
        fault="A file that could not be scored serves as a baseline.",
        old="""
        for each in model.candidate
        if each.digest is not None and each.problem is None
        """,
        new="""
        for each in model.candidate
        if each.digest is not None
        """,
        within="_files",
    ),
    Mutant(
        name="status/undecided-blocks-never",
        fault="`inconclusive: block` does not block.",
        old="line, blocks = headline(report), report.inconclusive_blocks",
        new="line, blocks = headline(report), False",
        within="status_of",
    ),
    Mutant(
        name="status/error-is-a-success",
        fault="A verdict that could not be made is green.",
        old="""
        case Outcome.ERROR:
            return State.ERROR, line.text
        """,
        new="""
        case Outcome.ERROR:
            return State.SUCCESS, line.text
        """,
    ),
)

_GUARD = (
    Mutant(
        name="model-file/through-a-link",
        fault="A link is followed out of the artifact.",
        old="os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC",
        new="os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC",
        within="open_model",
    ),
    Mutant(
        name="model-file/no-regular-file",
        fault="A device is read as a model.",
        old="if not stat.S_ISREG(facts.st_mode):",
        new="if False:",
        within="_first_look",
    ),
    Mutant(
        name="model-file/any-size",
        fault="A file above the limit is read.",
        old="if size > limit:",
        new="if False:",
        within="_wrong",
    ),
    Mutant(
        name="model-file/pickle",
        fault="A pickle is not refused as one.",
        old="if _PICKLE.match(head):",
        new="if False:",
    ),
    Mutant(
        name="model-file/any-first-byte",
        fault="What no ONNX file begins with is handed on.",
        old="return None if head[:1] and head[0] in _FIRST_BYTES else",
        new="return None if head[:1] else",
    ),
    Mutant(
        name="model-file/changed-meanwhile",
        fault="Other bytes are scored than those that were hashed.",
        old="if left or chunk:",
        new="if False:",
    ),
    Mutant(
        name="model-file/hash-of-a-part",
        fault="The digest leaves out the last bytes.",
        old="""
        hasher.update(chunk)
        yield chunk
        """,
        new="""
        hasher.update(chunk[:512])
        yield chunk
        """,
    ),
    Mutant(
        name="rules/stranger's-metric",
        fault="A metric's code of a pull request runs in the judge.",
        old="if own is not None:",
        new="if False:",
        within="_out_of_bounds",
    ),
    Mutant(
        name="rules/stranger's-address",
        fault="An address that a pull request names is fetched by the judge.",
        old="""
        if is_url(model.data.holdout):
            return Problem.of
        """,
        new="""
        if False:
            return Problem.of
        """,
    ),
    Mutant(
        name="rules/stranger's-gates",
        fault="A known model is judged by the pull request's own gates.",
        old="if known is not None and configs.policy is not None and commits.policy is not None:",
        new="if False:",
    ),
)

_PARSERS = (
    Mutant(
        name="command/too-many",
        fault="A comment may have any number of commands.",
        old="""
        if len(found) > MAX_COMMANDS:
            break
        """,
        new="pass",
    ),
    Mutant(
        name="command/too-long",
        fault="A line of any length is read.",
        old="if len(line) > MAX_LINE:",
        new="if False:",
    ),
    Mutant(
        name="command/invisible",
        fault="A command says something that nobody sees.",
        old="if hidden := INVISIBLE.search(line):",
        new="if False and (hidden := INVISIBLE.search(line)):",
        within="_fields",
    ),
    Mutant(
        name="command/short-sha",
        fault="Seven digits name a commit, and somebody else can make one that has them.",
        old="WHOLE_SHA = (40, 64)",
        new="WHOLE_SHA = (7, 40, 64)",
    ),
    Mutant(
        name="command/given-twice",
        fault="Of two values of one key the last is taken.",
        old="if key in values:",
        new="if False:",
        within="_add_value",
    ),
    Mutant(
        name="command/trial-of-several",
        fault="A trial changes parameters of several models.",
        old="if len(self.models) != 1:",
        new="if not self.models:",
    ),
    Mutant(
        name="command/missing-argument",
        fault="A command without its reason is followed.",
        old="if form.fields & absent:",
        new="if False:",
    ),
    Mutant(
        name="command/role",
        fault="Who has just the role that is needed is refused.",
        old="_ROLES.index(role) >= _ROLES.index(least)",
        new="_ROLES.index(role) > _ROLES.index(least)",
    ),
    Mutant(
        name="command/any-role",
        fault="A stranger starts a training.",
        old='elif not (is_enough(role, command.role) or (command.others and role != "none")):',
        new="elif False:",
    ),
    Mutant(
        name="command/fork-without-a-sha",
        fault="A fork's head is trained that was pushed while the maintainer wrote.",
        old="if self.sha is None and not pull.fork:",
        new="if self.sha is None:",
    ),
    Mutant(
        name="command/head-moved",
        fault="A commit is trained that the commenter did not see.",
        old="seconds_between(asked, run.created) > 0",
        new="seconds_between(asked, run.created) < 0",
    ),
    Mutant(
        name="command/edited",
        fault="A comment that was edited afterwards is followed.",
        old="elif edited:",
        new="elif False:",
    ),
    Mutant(
        name="command/any-number-a-minute",
        fault="One person's comments are answered without a limit.",
        old="if place >= LIMIT and not over:",
        new="if False:",
    ),
    Mutant(
        name="command/two-at-a-time",
        fault="A second command of a comment acts on facts that the first one changed.",
        old="again = moved and command.alone",
        new="again = False",
    ),
    Mutant(
        name="command/unguarded-base",
        fault="A pull request that nothing judges is trained on command.",
        old="if not facts.policy.guards(pull.base_ref):",
        new="if False:",
    ),
    Mutant(
        name="command/attempts-without-end",
        fault="GitHub is asked for an attempt that it refuses.",
        old="if run.attempt >= MOST_ATTEMPTS:",
        new="if False:",
    ),
    Mutant(
        name="command/parameter-out-of-bounds",
        fault="A trial takes a parameter that policy does not allow.",
        old="if tunable.min is None or tunable.max is None or not tunable.min <= value <= tunable.max:",
        new="if tunable.min is None or tunable.max is None:",
    ),
    Mutant(
        name="answer/of-another-hand",
        fault="A stranger's comment says what the bot recorded.",
        old="sorted((each for each in comments if each.author == login), key=lambda each: each.id)",
        new="sorted(comments, key=lambda each: each.id)",
    ),
    Mutant(
        name="answer/of-another-comment",
        fault="A record says that another comment asked.",
        old='if all(each.comment == int(found["comment"]) for each in records):',
        new="if True:",
    ),
    Mutant(
        name="stamp/anywhere",
        fault="A comment that quotes the marker is the bot's own.",
        old="return last_line_of(body).startswith(marker)",
        new="return marker in body",
    ),
    Mutant(
        name="stamp/marker-ends-early",
        fault="A config's path ends the hidden comment.",
        old='return quote(name, safe="/.").replace("-", "%2D")',
        new='return quote(name, safe="/.>-")',
    ),
    Mutant(
        name="stamp/link-with-more",
        fault="A link with anything behind the attempt names it.",
        old="found = _FRAGMENT.fullmatch(sign + fragment)",
        new="found = _FRAGMENT.match(sign + fragment)",
    ),
    Mutant(
        name="event/bots-are-people",
        fault="An app's comment is followed.",
        old='"author_is_bot": dig(payload, "comment", "user", "type") != "User",',
        new='"author_is_bot": dig(payload, "comment", "user", "type") == "bot",',
    ),
    Mutant(
        name="event/deleted-branch",
        fault="The deletion of a branch is a push.",
        old='if dig(payload, "deleted") is True or after == _ZERO:',
        new="if False:",
    ),
    Mutant(
        name="event/tag-as-branch",
        fault="A tag called as the guarded branch is a push to it.",
        old="if isinstance(ref, str) and ref.startswith(_TAGS):",
        new="if False:",
    ),
    Mutant(
        name="event/number-of-anything",
        fault="An input that is no positive number names a pull request.",
        old="if text.isascii() and text.isdigit() and len(text) < 19 and int(text) > 0 else None",
        new="if text.isdigit() else None",
    ),
    Mutant(
        name="event/edited-comments",
        fault="An edited comment is followed again.",
        old='if dig(payload, "action") != "created":',
        new='if dig(payload, "action") not in {"created", "edited"}:',
    ),
    Mutant(
        name="event/workflow-at-a-ref",
        fault="A run's workflow is told by its path and a ref that anybody names.",
        old='"path": path.partition("@")[0] if isinstance(path, str) else path,',
        new='"path": path,',
    ),
    Mutant(
        name="json/key-twice",
        fault="Two readers of one file see different values.",
        old='raise HostileJsonError("names a field twice")',
        new="pass",
    ),
    Mutant(
        name="json/any-depth",
        fault="A deep document ends the process.",
        old="if depth > most:",
        new="if False:",
    ),
    Mutant(
        name="json/any-length",
        fault="A document of any length is read.",
        old="if len(raw) > most_bytes:",
        new="if False:",
    ),
    Mutant(
        name="json/not-a-number",
        fault="NaN is a figure.",
        old="parse_constant=_no_constant,",
        new="parse_constant=float,",
    ),
    Mutant(
        name="json/number-beyond",
        fault="A number that overflows is infinite.",
        old="not math.isfinite(value := float(text))",
        new="(value := float(text)) is None",
    ),
    Mutant(
        name="json/half-a-pair",
        fault="A text comes in that can be written nowhere.",
        old='json.dumps(value, ensure_ascii=False).encode("utf-8")',
        new="pass",
    ),
    Mutant(
        name="tag/counter-with-a-zero",
        fault="Two tags have one counter.",
        old='if counter and counter.startswith("0"):',
        new="if False:",
    ),
    Mutant(
        name="tag/pre-release",
        fault="A pre-release is a version.",
        old="if more:",
        new="if False:",
        within="parse_tag",
    ),
    Mutant(
        name="tag/note-of-another-commit",
        fault="A tag that was put elsewhere is believed.",
        old="""return f'"commit":"{commit}"' in last and named in last""",
        new="return named in last",
    ),
    Mutant(
        name="tag/note-in-another-form",
        fault="A note that two readers read differently is believed.",
        old="return note if _canonical(note) == last else None",
        new="return note",
    ),
    Mutant(
        name="tag/version-given-twice",
        fault="A version whose tag is gone is given again.",
        old="known = [*recorded, *([taken] if taken else [])]",
        new="known = [*([taken] if taken else [])]",
    ),
    Mutant(
        name="tag/moved-version",
        fault="A second tag of a version at another commit withdraws it.",
        old="last = [tag for tag in ordered if tag.commit == first.commit][-1]",
        new="last = ordered[-1]",
    ),
    Mutant(
        name="tag/rivals",
        fault="Of two tags with one counter one is believed.",
        old="if len(rivals) > 1 and counter:",
        new="if False:",
    ),
    Mutant(
        name="config/approvals-below-zero",
        fault="An environment asks for fewer approvals than none.",
        old="approvals: Annotated[int, whole(0, 6)]",
        new="approvals: Annotated[int, whole(-1, 6)]",
    ),
    Mutant(
        name="config/margin-of-any-size",
        fault="A `max_regression` that no change can break is taken.",
        old="low, high = 0.0, high - low",
        new="low, high = 0.0, math.inf",
    ),
    Mutant(
        name="config/minimum-above-maximum",
        fault="Two bounds that nothing keeps are taken.",
        old="if low is not None and high is not None and low > high:",
        new="if False:",
        within="GateRule.rules",
    ),
    Mutant(
        name="config/path-out-of-the-repository",
        fault="A path leads out of the repository.",
        old=r'''r"(^|/)\.\.(/|$)"''',
        new=r'''r"(^|/)\.\.\.(/|$)"''',
    ),
    Mutant(
        name="config/password-in-an-address",
        fault="A password is committed.",
        old='"://[^/?#]*:[^/?#]*@"',
        new='"://[^/?#]*:[^/?#]*@@"',
    ),
    Mutant(
        name="config/environments-in-a-circle",
        fault="Two environments wait for each other.",
        old="if walks.get(name) == start:",
        new="if False:",
    ),
    Mutant(
        name="config/wrong-name-hides-files",
        fault="A wrong name hides every file that is not there.",
        old="raise ConfigError((*error.problems, *rest), source=document.source) from None",
        new="raise ConfigError(error.problems, source=document.source) from None",
    ),
    Mutant(
        name="config/bound-that-nothing-fails",
        fault="A margin as wide as the metric's range is not named.",
        old="return gate.limit >= high - low",
        new="return gate.limit > high - low",
    ),
    Mutant(
        name="config/bound-on-the-wrong-side",
        fault="A band is named for its upper bound.",
        old="elif metric and gate.subject not in bounded:",
        new="elif metric and _is_turned(gate, metric):",
    ),
    Mutant(
        name="slice/missing-text-is-no-null",
        fault="COALESCE meets no missing text.",
        old="self._nullable.update(range(start, self._index))",
        new="pass",
    ),
    Mutant(
        name="config/runner-by-expression",
        fault="An expression is a runner's label.",
        old=r"""(r"\$\{\{", "a runner label; expressions are not evaluated here"),""",
        new=r"""(r"\$\$\{\{", "a runner label; expressions are not evaluated here"),""",
    ),
)

MUTANTS = (*_VERDICT, *_WAIVERS, *_ADMISSION, *_PLAN, *_DELIVERY, *_LEDGER, *_GUARD, *_PARSERS)
"""All of them."""
