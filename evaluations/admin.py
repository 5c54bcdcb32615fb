from django.contrib import admin

from evaluations.models import Evaluation, Rule
from platform_site.admin import ReadOnly


@admin.register(Evaluation)
class EvaluationAdmin(ReadOnly, admin.ModelAdmin[Evaluation]):
    list_display = ("pk", "job", "way", "set_name", "of_job", "of_step", "prompts", "kept_at")
    list_filter = ("way", "kept_at")
    list_select_related = ("job", "of_job")
    search_fields = ("job__name", "model", "set_name")
    exclude = ("scores",)


@admin.register(Rule)
class RuleAdmin(ReadOnly, admin.ModelAdmin[Rule]):
    list_display = ("pk", "run", "owner", "is_on", "created_at")
    list_filter = ("is_on", "created_at")
    list_select_related = ("run", "owner")
    search_fields = ("run__name",)
