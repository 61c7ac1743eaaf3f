from django.contrib import admin

from .models import Person

admin.site.site_header = admin.site.site_title = "Personnel directory"


@admin.register(Person)
class PersonAdmin(admin.ModelAdmin):
    list_display = ["name", "title", "department", "room", "phone"]
    search_fields = ["name", "department", "room"]
