from functools import partial

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from jobs.rewards.forms import RewardForm
from jobs.rewards.trial import TrialError, try_reward
from platform_site.htmx import HtmxHttpRequest
from platform_site.paths import open_to

# Fields that a link may fill in.
GIVEN = ("path", "name", "rows", "data_file", "count", "answers_from", "column")


@require_http_methods(["GET", "POST"])
def try_reward_page(request: HtmxHttpRequest) -> HttpResponse:
    """The form and, after a POST (which runs the user's code), the result."""
    if request.method == "GET":
        given = {name: request.GET[name] for name in GIVEN if name in request.GET}
        return render(request, "jobs/rewards/try_reward.html", {"form": RewardForm(initial=given)})
    form = RewardForm(request.POST, read=partial(open_to, request.user))
    if not form.is_valid() or form.subject is None:
        return render(request, "jobs/rewards/try_reward.html", {"form": form}, status=422)
    try:
        trial = try_reward(form.subject, form.cases)
    except TrialError as error:
        form.add_error(None, str(error))
        return render(request, "jobs/rewards/try_reward.html", {"form": form}, status=422)
    return render(request, "jobs/rewards/try_reward.html", {"form": form, "trial": trial})
