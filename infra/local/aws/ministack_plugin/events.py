"""Events that AWS services send to the default bus themselves."""
import json

from ministack.services import eventbridge


def emit(source, detail_type, detail, resources=()):
    entry = {"Source": source, "DetailType": detail_type, "Detail": json.dumps(detail), "Resources": list(resources)}
    # The public PutEvents refuses sources that begin with "aws.": only AWS itself sends those.
    eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)
