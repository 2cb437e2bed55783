"""The contacts served by Django REST framework with django-filter."""

import os
import uuid

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="benchmark",
    USE_TZ=True,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework", "django_filters"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["BENCH_DATABASE"],
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL",
                "transaction_mode": "IMMEDIATE",
            },
        }
    },
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
        "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.LimitOffsetPagination",
        "PAGE_SIZE": 20,
    },
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import models  # noqa: E402
from django.urls import include, path  # noqa: E402
from django_filters.rest_framework import DjangoFilterBackend  # noqa: E402
from rest_framework import filters, routers, serializers, viewsets  # noqa: E402


def new_id() -> str:
    return uuid.uuid4().hex


class Contact(models.Model):
    id = models.CharField(primary_key=True, max_length=32, default=new_id, editable=False)
    name = models.CharField(max_length=255, db_index=True)
    type = models.CharField(max_length=6, default="Custom")
    phoneNumber = models.CharField(max_length=64, null=True, db_index=True)
    userName = models.CharField(max_length=255, null=True, db_index=True)
    firstName = models.CharField(max_length=255, null=True, db_index=True)
    lastName = models.CharField(max_length=255, null=True, db_index=True)
    employeeId = models.CharField(max_length=255, null=True, db_index=True)

    class Meta:
        app_label = "contacts"
        db_table = "contact"
        indexes = [models.Index(fields=["type", "name"])]


ATTRIBUTES = [field.name for field in Contact._meta.fields]


class ContactSerializer(serializers.ModelSerializer):
    class Meta:
        model = Contact
        fields = ATTRIBUTES


class ContactViewSet(viewsets.ModelViewSet):
    queryset = Contact.objects.order_by("name")
    serializer_class = ContactSerializer
    filter_backends = [DjangoFilterBackend, filters.SearchFilter]
    filterset_fields = ATTRIBUTES
    search_fields = ["name", "userName", "firstName", "lastName", "phoneNumber"]


router = routers.DefaultRouter(trailing_slash=False)
router.register("contacts", ContactViewSet)
urlpatterns = [path("", include(router.urls))]
app = get_wsgi_application()
