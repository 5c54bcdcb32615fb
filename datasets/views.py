from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from datasets.formats.parquet import first_rows, read_facts
from datasets.models import Dataset
from platform_site.paths import allowed

SHOWN_ROWS = 20


@require_GET
def dataset_list(request: HttpRequest) -> HttpResponse:
    return render(request, "datasets/list.html", {"datasets": Dataset.objects.all()})


@require_GET
def dataset_detail(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = get_object_or_404(Dataset, pk=pk)
    return render(request, "datasets/detail.html", {"dataset": dataset, **contents(dataset)})


def contents(dataset: Dataset) -> dict[str, Any]:
    path = allowed(dataset.train_file)
    if path is None:
        problem = f"{dataset.train_file} lies outside the allowed folders: see TRAINYARD_PATHS."
        return {"columns": [], "rows": [], "problem": problem}
    try:
        columns = list(read_facts(path).columns.items())
        return {"columns": columns, "rows": list(first_rows(path, SHOWN_ROWS)), "problem": ""}
    except ValueError as error:
        return {"columns": [], "rows": [], "problem": str(error)}
