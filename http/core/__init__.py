"""What every route stands on: request bodies, inputs, responses, errors, security headers, the OpenAPI document."""
