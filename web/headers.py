"""Response headers: what a page may load, who may frame it, what may be kept."""

from __future__ import annotations

from flask import Flask, Response, request

from web.current import services

# A file asked for with its content's hash never changes under that address.
ASSET_MAX_AGE_S = 365 * 24 * 3600


def register(app: Flask) -> None:
    """Every answer of the application leaves with these headers."""
    app.after_request(_protect)
    app.after_request(_cache)


def policy(form_targets: str) -> str:
    """The content security policy: everything from here, nothing inline, never in a frame."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            # WeUI draws its icons with data: addresses.
            "img-src 'self' data:",
            # Captchas that are listened to.
            "media-src 'self'",
            "connect-src 'self'",
            f"form-action 'self' {form_targets}".rstrip(),
            "frame-ancestors 'none'",
            "base-uri 'none'",
        )
    )


def _protect(response: Response) -> Response:
    here = services()
    response.headers.update(
        {
            "Content-Security-Policy": policy(here.identity.origin),
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            # Own pages need the Referer for the CSRF check; others learn nothing.
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
        }
    )
    if here.site.base_url.startswith("https://"):
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    return response


def _cache(response: Response) -> Response:
    if request.endpoint == "static":
        hashed = "v" in request.args and response.status_code < 400  # noqa: PLR2004 - errors are not kept
        response.headers["Cache-Control"] = (
            f"public, max-age={ASSET_MAX_AGE_S}, immutable" if hashed else "no-cache"
        )
    elif "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response
