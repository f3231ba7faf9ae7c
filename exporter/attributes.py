"""Names of the attributes that spanpipe sets, in one place.

From OpenTelemetry's semantic conventions 1.44 where they have one; the rest is under
``spanpipe.``. What each one means, its type and when it is there stands in
``docs/attribute_table.py``, and a test holds the two to each other.
"""


class BodyNames:
    """The attributes of one captured body, all under `prefix`."""

    __slots__ = ("body", "content_kind", "dropped_values", "redacted", "size_bytes", "truncated")

    def __init__(self, prefix: str) -> None:
        self.content_kind = f"{prefix}.content_kind"
        self.body = f"{prefix}.body"
        self.truncated = f"{prefix}.truncated"
        self.redacted = f"{prefix}.redacted"
        self.dropped_values = f"{prefix}.dropped_values"
        self.size_bytes = f"{prefix}.size_bytes"


# Resource
CLOUD_PROVIDER = "cloud.provider"
CLOUD_PLATFORM = "cloud.platform"
CLOUD_REGION = "cloud.region"
FAAS_NAME = "faas.name"
FAAS_VERSION = "faas.version"
FAAS_INSTANCE = "faas.instance"
FAAS_MAX_MEMORY = "faas.max_memory"
SERVICE_NAME = "service.name"
AWS_LOG_GROUP_NAMES = "aws.log.group.names"
AWS_LOG_STREAM_NAMES = "aws.log.stream.names"
TELEMETRY_SDK_LANGUAGE = "telemetry.sdk.language"
TELEMETRY_SDK_NAME = "telemetry.sdk.name"
TELEMETRY_SDK_VERSION = "telemetry.sdk.version"
TELEMETRY_DISTRO_NAME = "telemetry.distro.name"
TELEMETRY_DISTRO_VERSION = "telemetry.distro.version"

# Invocation span
FAAS_INVOCATION_ID = "faas.invocation_id"
FAAS_TRIGGER = "faas.trigger"
FAAS_COLDSTART = "faas.coldstart"
CLOUD_ACCOUNT_ID = "cloud.account.id"
CLOUD_RESOURCE_ID = "cloud.resource_id"
AWS_LAMBDA_INVOKED_ARN = "aws.lambda.invoked_arn"
ERROR_TYPE = "error.type"
HTTP_STATUS = "http.response.status_code"

FATE = "spanpipe.fate"
TENANT_ID = "spanpipe.tenant.id"
DURABLE_EXECUTION_ARN = "spanpipe.durable_execution.arn"
INIT_TYPE = "spanpipe.init.type"
INIT_PHASE = "spanpipe.init.phase"
INIT_PROACTIVE = "spanpipe.init.proactive"
PRODUCED_BYTES = "spanpipe.report.produced_bytes"
BILLED_DURATION_MS = "spanpipe.report.billed_duration_ms"
DURATION_MS = "spanpipe.report.duration_ms"
INIT_DURATION_MS = "spanpipe.report.init_duration_ms"
RESTORE_DURATION_MS = "spanpipe.report.restore_duration_ms"
MEMORY_USED_BYTES = "spanpipe.report.memory_used_bytes"
MEMORY_SIZE_BYTES = "spanpipe.report.memory_size_bytes"
RESULT = BodyNames("spanpipe.result")
REQUEST = BodyNames("spanpipe.request")

LEDGER_PREFIX = "spanpipe.ledger."
"""Then accepted, recovered, exported, printed, spooled, waiting, dropped and uncertain."""

# Span events
EXCEPTION = "exception"
EXCEPTION_TYPE = "exception.type"
EXCEPTION_MESSAGE = "exception.message"
EXCEPTION_STACKTRACE = "exception.stacktrace"
PARTIAL_RESULT = "spanpipe.partial_result"
PARTIAL_INDEX = "spanpipe.partial_result.index"

# Metrics
INVOKE_DURATION = "faas.invoke_duration"
INIT_DURATION = "faas.init_duration"
MEM_USAGE = "faas.mem_usage"
COLDSTARTS = "faas.coldstarts"
ERRORS = "faas.errors"
INVOCATIONS = "faas.invocations"
TIMEOUTS = "faas.timeouts"
