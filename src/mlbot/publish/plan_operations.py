"""From a verdict to what is done with it on GitHub. No place here writes anything."""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from math import ceil
from typing import Literal

from mlbot.config.errors import Document
from mlbot.events.github import Attempt, Id, OpenHead, State, WebUrl
from mlbot.gates.metric import Bound
from mlbot.gates.outcome import Outcome, Reason
from mlbot.judging.admission import is_outdated
from mlbot.ledger.entries import (
    Actor,
    AnchorAsked,
    CostEntry,
    Entry,
    GateAsked,
    LookEntry,
    ProfileEntry,
    RequestEntry,
    SeedValues,
    Since,
    StoredFile,
    Time,
    VerdictEntry,
    WaiverEntry,
)
from mlbot.lib import figures
from mlbot.lib.constants import ACTIONS_BOT
from mlbot.lib.escape import one_line
from mlbot.lib.record import Record, Sha
from mlbot.lib.templates import phrase
from mlbot.protocol import operations
from mlbot.protocol.answer import RetrainRequest, answer_marker, last_line
from mlbot.protocol.artifacts import AcceptedArtifact
from mlbot.protocol.decision import FinishWithoutJudging, Judge, Policy, PullRequestSubject, PushSubject, Subject
from mlbot.protocol.marker import Place, Stamp, marker_of, stamped, with_attempt
from mlbot.report import words
from mlbot.report.report import ModelReport, Picture, Report, report_digest, training_digest, training_of
from mlbot.report.words import headline
from mlbot.verdict.decide import unwaived
from mlbot.verdict.verdict import GateResult, Score

WORDS = "words/status.j2"

_WORST_FIRST = (State.ERROR, State.FAILURE, State.PENDING, State.SUCCESS)
"""A pull request without a verdict keeps its head from passing, and hides no failure of another one."""


class Rendered(Record):
    """The report as rendered: the comment (with `signature` as its marker) and the job summary."""

    comment: str = ""
    summary: str


def signature(place: Place, subject: Subject, attempt: Attempt) -> str:
    """The last line of the comment, whole: to be given to the renderer as the marker."""
    return stamped(marker_of(place), Stamp(attempt=attempt, head=subject.sha))


def pending(subject: Subject, attempt: Attempt, place: Place, training_url: WebUrl) -> tuple[operations.Operation, ...]:
    """What is done when a training starts."""
    if not place.may_write:
        return (operations.Log(sentence=phrase(WORDS, "no_status")),)
    draft = isinstance(subject, PullRequestSubject) and subject.draft
    return (_status(subject, attempt, place, State.PENDING, phrase(WORDS, "training", draft=draft), training_url),)


def together(found: Sequence[Sequence[operations.Operation]], policy: Policy) -> tuple[operations.Operation, ...]:
    """What is done about a commit: the operations of each of its subjects, and the commit's statuses after them.

    `mlbot` is the worst of all subjects. Where several entries are guarded each also has a status of its own, the worst
    of its branches: that one is required for them.
    """
    # Every judge of a head finds out anew about all of its pull requests. What an earlier one wrote is not read back:
    # a comment may be edited by whoever may write to the repository, and a status set by any workflow of theirs.
    every = [each for one in found for each in one]
    own = [each for each in every if isinstance(each, operations.SetStatus)]
    by_context: dict[str, list[operations.SetStatus]] = {}
    for each in own:
        context = policy.own_context(each.subject.branch)
        if context is not None:
            by_context.setdefault(context, []).append(each)
    if own:
        by_context[own[0].context] = own
    rest = (each for each in every if not isinstance(each, operations.SetStatus))
    statuses = tuple(_worst(each, context) for context, each in by_context.items())
    others = tuple(each for each in policy.contexts if each not in by_context)
    if not own or not others:
        return *rest, *statuses
    # They were set pending with the others, and stay so: a success would be on the commit before somebody proposes it
    # for their branch. What was there before comes back.
    first = own[0]
    back = operations.EndPending(
        sha=first.subject.sha, contexts=others, attempt=first.attempt, description=None, url=first.url
    )
    return *rest, *statuses, back


def end_pending(
    sha: Sha, attempt: Attempt, place: Place, policy: Policy, *, proposed: bool
) -> tuple[operations.EndPending, ...]:
    """What is done about a run that is not judged: its pending is taken back.

    That of a guarded entry never becomes more than what was there before.
    """
    description = None if proposed else one_line(phrase(WORDS, "nothing_guarded"))
    own = tuple(each for each in policy.contexts if each != place.context)
    url = with_attempt(place.run_url, attempt)
    return tuple(
        operations.EndPending(sha=sha, contexts=contexts, attempt=attempt, description=text, url=url)
        for contexts, text in (((place.context,), description), (own, None))
        if contexts
    )


def not_run(head: OpenHead, place: Place, policy: Policy) -> operations.TellNotRun | None:
    """What is done about a head that lacks a status that its branch may require; None where it lacks none."""
    if not policy.guards(head.base_ref):
        return None
    wanted = (place.context, policy.own_context(head.base_ref))
    # As a head has it that was proposed for another branch before: for this one that is no word at all.
    none = {None, phrase(WORDS, "not_guarded", trial=False), phrase(WORDS, "nothing_guarded")}
    listed = {each: there for each in wanted if each is not None and (there := head.contexts.get(each)) in none}
    if not listed:
        return None
    text = phrase(WORDS, "not_run")
    return operations.TellNotRun(number=head.number, sha=head.sha, listed=listed, description=text, url=place.run_url)


def _worst(found: Sequence[operations.SetStatus], context: str) -> operations.SetStatus:
    worst = min(found, key=lambda each: _WORST_FIRST.index(each.state))
    beside = tuple(each.subject for each in found if isinstance(each.subject, PullRequestSubject))
    others = tuple(each for each in beside if each != worst.subject)
    description = worst.description
    if others and isinstance(worst.subject, PullRequestSubject):
        description = one_line(phrase(WORDS, "of_several", number=worst.subject.number, sentence=description))
    return worst.model_copy(update={"context": context, "beside": others, "description": description})


def why_unjudged(decision: FinishWithoutJudging) -> str:
    """Why a run is not judged: the words of its cause."""
    return phrase(WORDS, decision.cause.replace("-", "_"), trial=decision.trial)


def finish(decision: FinishWithoutJudging, place: Place, training_url: WebUrl) -> tuple[operations.Operation, ...]:
    """What is done about a run that leaves nothing to judge: the status ends, and says why."""
    sentence = why_unjudged(decision)
    return _ended(place, sentence, decision.subject, decision.attempt, decision.state, training_url)


def broken(decision: Judge, place: Place, why: str) -> tuple[operations.Operation, ...]:
    """What is done when the judge itself could not do its work: an error, never silence and never a pass."""
    sentence = phrase(WORDS, "broken", why=why)
    return _ended(place, sentence, decision.subject, decision.speaks_as, State.ERROR, place.run_url)


def _ended(
    place: Place, sentence: str, subject: Subject, attempt: Attempt, state: State, url: WebUrl
) -> tuple[operations.Operation, ...]:
    summary = operations.WriteSummary(text=f"{sentence}\n")
    if not place.may_write:
        return summary, _silent()
    return summary, _status(subject, attempt, place, state, sentence, url)


def publish_trial(
    decision: Judge | FinishWithoutJudging, place: Place, rendered: Rendered, looks: Sequence[Entry] = ()
) -> tuple[operations.Operation, ...]:
    """What is done with a trial, whatever came of it: a comment of its own, and what of the holdout it shows.

    The comment has no stamp: it lists all trials, so no attempt's words stand in place of another's.
    """
    summary = operations.WriteSummary(text=rendered.summary)
    if not isinstance(decision.subject, PullRequestSubject):
        return (summary,)
    if not place.may_write:
        return summary, _silent()
    subject, mark = decision.subject, marker_of(place, trial=True)
    comment = operations.UpsertComment(number=subject.number, marker=mark, body=rendered.comment, subject=subject)
    return (summary, *((operations.AppendLedger(entries=tuple(looks)),) if looks else ()), comment)


def publish(
    decision: Judge,
    report: Report,
    place: Place,
    rendered: Rendered,
    entries: Sequence[Entry] = (),
    *,
    config: Document | None = None,
) -> tuple[operations.Operation, ...]:
    """What is done with a verdict.

    A pull request gets comment and status, the merge queue the status, a push to the guarded branch status and ledger.
    Waivers given on a pull request go into the ledger too, so that they hold wherever the same content is judged, and
    so does every look at a holdout, before people see it. A trial gets what `publish_trial` says. The order is the one
    to do it in: what cannot fail first, the status last, so that who sees it finds the rest in its place. `rendered`
    ends in `signature`; `config` is the policy's, for the lines of its gates.
    """
    if report.trial:
        return publish_trial(decision, place, rendered, [each for each in entries if each.kind in {"look", "cost"}])
    local: tuple[operations.Operation, ...] = (
        operations.WriteSummary(text=rendered.summary),
        *annotations(report, config),
    )
    if not place.may_write:
        return *local, _silent()
    found = [*local]
    remembered = tuple(each for each in entries if _belongs(each, decision.subject))
    if remembered:
        found.append(operations.AppendLedger(entries=remembered))
    if isinstance(decision.subject, PullRequestSubject):
        found.append(_comment(decision, decision.subject, place, rendered.comment))
        request = rerun_request(decision, report)
        if request is not None:
            found.append(_again(request, decision.subject, report))
    state, sentence = status_of(report)
    status = _status(decision.subject, decision.speaks_as, place, state, sentence, place.run_url)
    found.append(status.model_copy(update={"unwritten": one_line(phrase(WORDS, "unwritten"))}))
    return tuple(found)


def lacking(
    decision: Judge, report: Report, place: Place, request: RequestEntry, cost: Sequence[CostEntry] = ()
) -> tuple[operations.Operation, ...]:
    """What is done where a verdict lacks seeds: the request goes into the ledger, and the status stays pending.

    There is no verdict yet, so nothing else is said of it.
    """
    asked = [each for each in request.models if each.wanted != each.had]
    words_ = phrase(WORDS, "lacking", models=asked, several=len(report.models) > 1)
    status = _status(decision.subject, decision.speaks_as, place, State.PENDING, words_, place.run_url)
    return (
        operations.WriteSummary(text=words_),
        operations.AppendLedger(entries=(request, *cost)),
        status.model_copy(update={"unwritten": one_line(phrase(WORDS, "unwritten"))}),
    )


def rerun_request(decision: Judge, report: Report) -> RetrainRequest | None:
    """What the bot asks for by itself: one more attempt of a training that the guarded branch has outdated.

    It is merged onto the tip that this judge saw and judged there, so a third one is never asked for.
    """
    subject, tip = decision.subject, report.verdict.commits.policy
    if not isinstance(subject, PullRequestSubject) or tip is None or not is_outdated(decision, report):
        return None
    attempt = decision.attempt
    return RetrainRequest(
        comment=attempt.run,  # no person's comment asked for it
        actor=ACTIONS_BOT,
        number=subject.number,
        sha=subject.sha,
        attempt=Attempt(run=attempt.run, number=attempt.number + 1),
        tip=tip,
    )


def _again(request: RetrainRequest, subject: PullRequestSubject, report: Report) -> operations.UpsertComment:
    """The record of it, which the sandbox and the judge of that attempt read; whoever reads the thread sees why."""
    models = [each.model for each in report.models if each.verdict.reason is Reason.OUTDATED]
    words_ = phrase(WORDS, "again", guarded=report.verdict.commits.guarded, tip=request.tip, models=models)
    return operations.UpsertComment(
        number=subject.number,
        marker=answer_marker(request.comment),
        body=f"{words_}\n\n{last_line(request.comment, [request], done=True)}",
        subject=subject,
    )


def _belongs(entry: Entry, subject: Subject) -> bool:
    """Whether an entry may be written for a subject: of a pull request what people wrote, and looked at, there."""
    given = isinstance(subject, PullRequestSubject) and entry.kind == "waiver"
    return isinstance(subject, PushSubject) or given or entry.kind in {"look", "cost"}


def status_of(report: Report) -> tuple[State, str]:
    """A verdict as a commit status: its state and one sentence of at most 140 characters."""
    line, blocks = headline(report), report.inconclusive_blocks
    match report.verdict.outcome:
        case Outcome.PASS:
            return State.SUCCESS, line.text
        case Outcome.FAIL:
            return State.FAILURE, line.text
        case Outcome.ERROR:
            return State.ERROR, line.text
        case Outcome.INCONCLUSIVE:
            sentence = phrase(WORDS, "inconclusive", finding=line.finding, blocks=blocks)
            return State.FAILURE if blocks else State.SUCCESS, sentence


def annotations(report: Report, config: Document | None = None) -> tuple[operations.Annotate, ...]:
    """Every gate that fails, is undecided or was waived, at its line of the config."""
    return tuple(
        _annotation(model, gate, config)
        for model in report.models
        for gate in model.verdict.gates
        if gate.counts and gate.standing != Outcome.PASS
    )


def charts_of(drawn: Mapping[str, tuple[str, str]]) -> operations.PushCharts:
    """Pictures to push: of each model the SVG for light and for dark pages."""
    return operations.PushCharts(files={_chart_path(svg): svg for pair in drawn.values() for svg in pair})


def pictures_of(drawn: Mapping[str, tuple[str, str]], place: Place, sha: Sha) -> dict[str, Picture]:
    """The pushed pictures by model, by the address that works in public and in private repositories."""

    def address(svg: str) -> str:
        return f"{place.server}/{place.repository}/blob/{sha}/{_chart_path(svg)}?raw=true"

    return {
        model: Picture(light=address(light), dark=address(dark), alt=f"Charts of {model}, candidate against baseline")
        for model, (light, dark) in drawn.items()
    }


def _chart_path(svg: str) -> str:
    name = sha256(svg.encode()).hexdigest()
    return f"{name[:2]}/{name}.svg"


def _comment(decision: Judge, subject: PullRequestSubject, place: Place, body: str) -> operations.UpsertComment:
    return operations.UpsertComment(
        number=subject.number,
        marker=marker_of(place),
        body=body,
        stamp=Stamp(attempt=decision.speaks_as, head=subject.sha),
        subject=subject,
    )


def _status(
    subject: Subject, attempt: Attempt, place: Place, state: State, sentence: str, url: WebUrl
) -> operations.SetStatus:
    return operations.SetStatus(
        subject=subject,
        context=place.context,
        state=state,
        description=one_line(sentence),
        url=with_attempt(url, attempt),
        attempt=attempt,
    )


def _silent() -> operations.Log:
    return operations.Log(sentence=phrase(WORDS, "read_only"))


_LEVELS: Mapping[str, operations.Level] = {
    Outcome.INCONCLUSIVE: operations.Level.WARNING,
    Reason.WAIVED: operations.Level.NOTICE,
}


def _annotation(model: ModelReport, result: GateResult, config: Document | None) -> operations.Annotate:
    gate = result.gate
    position = config.nearest(("models", model.model, "gates", gate.subject, gate.bound.value)) if config else None
    level = _LEVELS.get(result.standing, operations.Level.ERROR)
    title = f"{model.model}: {gate.subject} {figures.limit(gate.limit)} is {result.standing}"
    by = f". {words.waived_by(result.waived.waiver)}" if result.waived else ""
    return operations.Annotate(
        level=level,
        title=one_line(title),
        message=one_line(words.finding(unwaived(result), model) + by, 1000),
        file=config.source if config else "",
        line=position.line if position else None,
    )


class Origin(Record):
    """Where and when a verdict came to be."""

    branch: str
    attempt: Attempt  # the training that was judged
    judge: Attempt  # the run that judged it, which holds the accepted files
    time: Time


def entries_of(report: Report, origin: Origin) -> tuple[VerdictEntry, ...]:
    """One entry for each judged model; none for a trial, which counts nowhere."""
    if report.trial:
        return ()
    found = (_entry(report, model, origin) for model in report.models)
    return tuple(entry for entry in found if entry is not None)


def profiles_of(report: Report, origin: Origin) -> tuple[ProfileEntry, ...]:
    """One entry for each data file of which the judge made a profile: the ledger has none of it."""
    commit = report.verdict.commits.head
    return tuple(
        ProfileEntry(model=each.model, profile=profile, commit=commit, branch=origin.branch, time=origin.time)
        for each in report.data
        for profile in each.profiles
    )


def looks_of(report: Report, decision: Judge, repository: int | None, time: Time) -> tuple[LookEntry, ...]:
    """One entry for each model whose figures the report shows, of a trial too."""
    subject = decision.subject
    pull = subject if isinstance(subject, PullRequestSubject) else None
    request = decision.reruns.trial(decision.attempt)
    asker = Asker(
        repository=repository,
        pull_request=pull.number if pull else None,
        head_repository=pull.head_repository_id if pull else None,
        actor=request.actor if request else pull.author if pull else None,
    )
    return looks_by(
        asker, report, Origin(branch=subject.branch, attempt=decision.attempt, judge=decision.attempt, time=time)
    )


def cost_of(report: Report, decision: Judge, judge: Attempt, time: Time) -> tuple[CostEntry, ...]:
    """What the attempt took of runners, if GitHub said it."""
    if report.cost is None:
        return ()
    subject = decision.subject
    return (
        CostEntry(
            attempt=decision.attempt,
            judge=judge,
            models=tuple(dict.fromkeys(each.model for each in report.models)),
            branch=subject.branch,
            pull_request=subject.number if isinstance(subject, PullRequestSubject) else None,
            trial=report.trial,
            training=report.cost.training,
            judging=report.cost.judging,
            time=time,
        ),
    )


class Asker(Record):
    """Who looks at a holdout, and from where."""

    repository: Id | None = None
    pull_request: Id | None = None
    head_repository: Id | None = None
    actor: Actor | None = None


def looks_by(asker: Asker, report: Report, origin: Origin) -> tuple[LookEntry, ...]:
    """The looks of somebody that a report is."""
    return tuple(
        LookEntry(
            content=model.shown[0],
            artifact=model.shown[1],
            **dict(asker),
            trial=report.trial,
            model=model.model,
            commit=report.verdict.commits.head,
            branch=origin.branch,
            attempt=origin.attempt,
            report=report_digest(model),
            metrics=tuple(dict.fromkeys(each.metric for each in model.shipped.scores)) if model.shipped else (),
            time=origin.time,
        )
        for model in report.models
        if model.shown is not None
    )


def given_on(report: Report, number: int) -> tuple[WaiverEntry, ...]:
    """The waivers that people gave on a pull request and that its verdict rests on; none for a trial."""
    if report.trial:
        return ()
    return tuple(each for each in report.verdict.waivers if each.pull_request == number)


def _entry(report: Report, model: ModelReport, origin: Origin) -> VerdictEntry | None:
    verdict = model.verdict
    if verdict.key is None:
        return None
    training = training_of(model)
    return VerdictEntry(
        schema_version="mlbot/ledger@2",
        model=model.model,
        key=verdict.key,
        digest=verdict.digest,
        holdout=model.holdout.digest if model.holdout else None,
        commit=report.verdict.commits.head,
        branch=origin.branch,
        outcome=verdict.outcome,
        reason=verdict.reason,
        provisional=verdict.provisional,
        attempt=origin.attempt,
        judge=origin.judge,
        files=_files(model, origin),
        values=_values(model),
        training=training_digest(model),
        duration_s=_duration(model),
        report=report_digest(model),
        policy=model.rules,
        tip=report.verdict.commits.policy,
        compared=model.compared,
        deterministic=verdict.seeds.candidate_deterministic if verdict.seeds else None,
        recipe=verdict.seeds.recipe if verdict.seeds else None,
        anchors=tuple(_anchors(model)) or None,
        data=training.data if training else None,
        gates=tuple(_gates(model)) or None,
        time=origin.time,
    )


def _anchors(model: ModelReport) -> Iterator[AnchorAsked]:
    """What the verdict says of each gate's anchor, for whoever looks for it later (`mlbot.plan.anchor`)."""
    results = {(each.gate.subject, each.gate.bound): each for each in model.verdict.gates}
    for side in model.anchors:
        key, lost = side.model.key, side.lost.key if side.lost else None
        if key is None:
            continue
        for subject in side.gates:
            # Where the anchor is the baseline, a loss that fails against it is asked once, and waived once.
            own = results.get((subject, Bound.MAX_REGRESSION)) if side.baseline else None
            moved = _moved(results.get((subject, Bound.ANCHOR), own))
            yield AnchorAsked(gate=subject, key=key, moved=moved, lost=lost)


def _gates(model: ModelReport) -> Iterator[GateAsked]:
    """What each gate asked, with the interval of its metric for the file that ships."""
    for result in model.verdict.gates:
        gate = result.gate
        score = model.shipped.score(gate.metric, gate.slice) if model.shipped else None
        yield GateAsked(
            gate=gate.subject,
            bound=gate.bound,
            limit=gate.limit,
            outcome=result.outcome,
            low=score.low if score else None,
            high=score.high if score else None,
        )


def _moved(result: GateResult | None) -> Literal[Since.BETTER, Since.WAIVED] | None:
    if result is not None and result.waived is not None:
        return Since.WAIVED
    return Since.BETTER if result is not None and result.reason is Reason.ABOVE_ANCHOR else None


def _duration(model: ModelReport) -> float | None:
    """Rounded up to whole seconds: of the slowest seed."""
    return float(max((ceil(each.duration_s) for each in model.candidate_training), default=0)) or None


def _files(model: ModelReport, origin: Origin) -> tuple[StoredFile, ...]:
    artifact = AcceptedArtifact(attempt=origin.judge.number).name
    return tuple(
        StoredFile(
            seed=each.seed, digest=each.digest, size_bytes=each.size_bytes, run=origin.judge.run, artifact=artifact
        )
        for each in model.candidate
        if each.digest is not None and each.problem is None
    )


def _values(model: ModelReport) -> tuple[SeedValues, ...]:
    names = dict.fromkeys((score.metric, score.slice) for each in model.candidate for score in each.scores)
    scored = [each for each in model.candidate if each.digest is not None and each.problem is None]
    return tuple(
        SeedValues(metric=metric, slice=slice_, values=tuple(_value(each.score(metric, slice_)) for each in scored))
        for metric, slice_ in names
    )


def _value(score: Score | None) -> float | None:
    return score.value if score else None
