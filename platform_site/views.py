from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import PasswordChangeView
from django.contrib.messages.views import SuccessMessageMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.templatetags.static import static
from django.urls import reverse_lazy


@login_not_required
def favicon(request: HttpRequest) -> HttpResponse:
    """Browsers ask for this name on every page that names no icon, such as the admin's."""
    return redirect(static("img/favicon.svg"))


class ChangePassword(SuccessMessageMixin, PasswordChangeView):  # type: ignore[type-arg]
    # The usual name is that of the admin's own page, which would be replaced.
    template_name = "registration/change_password.html"
    success_url = reverse_lazy("monitoring:dashboard")
    success_message = "Your password is changed. You are signed out wherever else you were."
