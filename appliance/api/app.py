"""Builds the ASGI application: routes, middleware, error handlers, and the context they share."""

import asyncio

from fastapi import FastAPI

from appliance import __version__
from appliance.api.context import Context
from appliance.api.errors import install_error_handlers
from appliance.api.middleware import BodyLimit, QuestionPriority, ShutdownReply
from appliance.api.openai import routes as openai_routes
from appliance.api.routes import documents, events, health, models, pages, search

_DESCRIPTION = "Answers from the documents of one folder, with page-exact citations. Nothing leaves the machine."


def create_app(context: Context) -> FastAPI:
    """Build the application, without FastAPI's documentation pages: they would load scripts from the network."""
    app = FastAPI(title="Docent", version=__version__, description=_DESCRIPTION, docs_url=None, redoc_url=None)
    app.state.context = context
    app.state.drawing = asyncio.Semaphore(pages.AT_ONCE)
    app.add_middleware(QuestionPriority, gate=context.gate)
    app.add_middleware(BodyLimit)
    app.add_middleware(ShutdownReply)
    install_error_handlers(app)
    for module in (pages, documents, search, models, openai_routes, health, events):
        app.include_router(module.router)
    return app
