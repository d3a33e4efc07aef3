"""The addresses as the demo has them."""

from xuka.interfaces.web.urls import demo_urlpatterns
from xuka.project import urls

urlpatterns = [*urls.urlpatterns, *demo_urlpatterns]
handler404 = urls.handler404
