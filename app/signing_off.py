"""What the commands print that sign off a day or a month."""

from __future__ import annotations

import click

from models.money import yuan
from payments.reconcile.sign_off import Signature

QUESTIONS_SHOWN = 20


def show_signature(what: str, signature: Signature, actor: str) -> None:
    """Print what is open and whether another operator has to sign."""
    questions = signature.open_questions
    if questions:
        click.echo(f"未结待办 {len(questions)} 项：")
    for question in questions[:QUESTIONS_SHOWN]:
        amount = "" if question.amount_fen is None else f" {yuan(question.amount_fen)} 元"
        click.echo(f"  {question.item_id} {question.kind} {question.key}{amount}")
    if len(questions) > QUESTIONS_SHOWN:
        click.echo("  ……")
    if signature.signed:
        names = actor if signature.first is None else f"{signature.first}、{actor}"
        click.echo(f"{what}已签字：{names}")
    else:
        click.echo(f"{what}由 {actor} 签字，需要另一位同事再签字后生效")
