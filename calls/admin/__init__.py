"""What staff see: the tables as they are, read-only but for API keys and phrases."""

from django.apps import apps
from django.contrib import admin

from calls.admin import attention, audit, calls, keys, people, work  # noqa: F401

admin.site.site_header = admin.site.site_title = "Call centre"
admin.site.enable_nav_sidebar = False  # the lists need the room

# Wake-ups are no business of staff: their rows say nothing, and to change one breaks something.
for model in apps.get_app_config("django_q").get_models():
    if admin.site.is_registered(model):
        admin.site.unregister(model)
