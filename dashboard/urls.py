"""The addresses of the pages."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from dashboard import attention_views, audit_views, views

urlpatterns = [
    path("", views.board, name="board"),
    path("calls/<str:call_id>/", views.call, name="call"),
    path("calls/<str:call_id>/reprocess", views.reprocess_call, name="reprocess"),
    path("calls/<str:call_id>/archive", views.archive_call, name="archive"),
    path("alerts/", attention_views.alerts, name="alerts"),
    path("alerts/acknowledge", attention_views.acknowledge, name="acknowledge"),
    path("audit/", audit_views.audit, name="audit"),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
]
