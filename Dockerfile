# One file, one image a service:
#
#   docker build --build-arg SERVICE=booking -t coaching-booking .
#
# SERVICE is booking, credits, notifier, or ops: the command line `coaching`.
# BASE_IMAGE is anything with Python 3.11 to 3.13 and pip.
ARG BASE_IMAGE=python:3.13-slim
ARG SERVICE

FROM scratch AS pins
ARG SERVICE
COPY requirements/${SERVICE}.txt /requirements.txt

# Knows no SERVICE: services with the same pins share this layer.
FROM ${BASE_IMAGE} AS packages
COPY --from=pins /requirements.txt /
# Compiled here, because nothing can be written later; by content, because a copy may change the times of files.
RUN python -m venv --without-pip /venv \
 && pip --python /venv/bin/python install --no-cache-dir --no-compile --only-binary :all: --require-hashes \
        --requirement /requirements.txt \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /venv/lib

FROM ${BASE_IMAGE} AS code
ARG SERVICE
WORKDIR /source
COPY contracts contracts
COPY messaging messaging
COPY services services
COPY ops ops
RUN case "$SERVICE" in ops) own=ops ;; *) own="services/__init__.py services/$SERVICE" ;; esac \
 && mkdir /app \
 && cp -r --parents contracts messaging $own /app && chmod -R a+rX /app \
 && python -m compileall -q --invalidation-mode unchecked-hash /app

FROM ${BASE_IMAGE} AS runtime
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY --from=packages /venv /venv
COPY --from=code /app /app
USER 10001:10001
STOPSIGNAL SIGTERM

FROM runtime AS worker
ENV HEALTH_HOST=0.0.0.0 HEALTH_PORT=8080
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-m", "messaging.probe"]

FROM worker AS image-booking
ENTRYPOINT ["python", "-m", "services.booking"]
CMD ["run"]

FROM worker AS image-credits
ENTRYPOINT ["python", "-m", "services.credits"]
CMD ["run"]

FROM worker AS image-notifier
ENTRYPOINT ["python", "-m", "services.notifier"]
CMD ["run"]

FROM runtime AS image-ops
ENTRYPOINT ["python", "-m", "ops"]
CMD ["--help"]

FROM image-${SERVICE}
