from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from compute.models import Machine
from compute.services import load_of


@require_GET
def machine_list(request: HttpRequest) -> HttpResponse:
    machines = [load_of(machine) for machine in Machine.objects.all()]
    return render(request, "compute/list.html", {"machines": machines})
