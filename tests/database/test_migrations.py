async def test_x(database_url):
    from tests.postgres_server import blocking,_execute
    print(blocking(_execute(database_url, "select * from schema_migrations")))
def test_y(database_url): pass
def test_z(database_url): pass
