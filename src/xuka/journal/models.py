from __future__ import annotations

from django.db import models


class Fact(models.Model):
    """One thing that happened: who, what, why, before, after. Rows are only ever added."""

    id = models.BigAutoField(primary_key=True)
    what = models.CharField(max_length=60)
    subject = models.UUIDField(help_text="What it is about: an order, a line, a customer.")
    who = models.CharField(max_length=60)
    why = models.TextField(blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["subject", "id"], name="fact_subject")]

    def __str__(self) -> str:
        return f"{self.what} {self.subject}"
